from __future__ import annotations

import socket

import pytest
from click.testing import CliRunner

from cli.serve import serve


def test_help_teaches_the_addresses() -> None:
    result = CliRunner().invoke(serve, ["--help"])
    assert result.exit_code == 0
    for taught in ("/v1/realtime", "/ws", "/health", "/ready", "/metrics", "503", "echo", "SIGTERM", "S2S_TOKENS"):
        assert taught in result.output


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--language", "de"], "choose one of en, fr, es, zh, ja, ko, auto"),
        (["--profile", "giant"], "unknown profile 'giant'; choose one of"),
        (["--lm", "gpt"], "'default', 'echo'"),
        (["--max-sessions", "0"], "--max-sessions"),
        (["--log-format", "xml"], "'text', 'json'"),
        (["--token-file", "no-such-file"], "the tokens in no-such-file cannot be read: No such file"),
    ],
)
def test_a_wrong_choice_is_named_with_the_right_ones(arguments: list[str], says: str) -> None:
    result = CliRunner().invoke(serve, arguments)
    assert result.exit_code != 0
    assert says in result.output


def test_tokens_of_the_environment_are_checked_and_not_shown() -> None:
    result = CliRunner().invoke(serve, [], env={"S2S_TOKENS": "a-good-one,not a good one"})
    assert result.exit_code == 1
    assert "S2S_TOKENS, entry 2" in result.output
    assert "good one" not in result.output


def test_a_taken_port_is_named_with_the_remedy() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        result = CliRunner().invoke(serve, ["--port", str(taken.getsockname()[1])])
    assert result.exit_code == 1
    assert "choose another --host or --port" in result.output
    assert "Traceback" not in result.output
