"""What is in the log, of which session and turn, and what never is."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from pipeline.testing import Script, scripted_engine
from server.logs import JsonFormatter, TextFormatter, log_to_stderr, note_ids
from server.tokens import Tokens


@pytest.fixture(params=["text", "json"])
def log(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    """What `--log-format` writes."""
    stream, root = io.StringIO(), logging.getLogger()
    monkeypatch.setattr("sys.stderr", stream)
    before = root.handlers[:], root.level
    root.handlers[:] = []
    log_to_stderr(request.param)
    yield stream
    root.handlers[:] = before[0]
    root.setLevel(before[1])


@pytest.mark.asyncio
async def test_no_transcript_and_no_secret_is_in_the_log(running: Any, talk: Any, log: io.StringIO) -> None:
    script = Script(heard=["the caller's words"], reply=lambda messages: "The server's words.")
    headers = {"Authorization": "Bearer the-secret"}
    async with running(scripted_engine(script), tokens=Tokens("ada: the-secret")) as server:
        async with talk(server, "/v1/realtime?model=queried", additional_headers=headers) as talker:
            await talker.update(instructions="the program's words")
            await talker.ask()
            await talker.until("response.done")
        with pytest.raises(InvalidStatus):
            await connect(
                f"ws://127.0.0.1:{server.port}/ws", additional_headers={"Authorization": "Bearer wrong-secret"}
            ).__aenter__()
    written = log.getvalue()
    assert "reply completed" in written
    assert "ada" in written
    for private in ("words", "secret", "queried"):
        assert private not in written


@pytest.mark.asyncio
async def test_lines_say_of_which_session_and_turn_they_are(
    running: Any, talk: Any, question: Any, log: io.StringIO
) -> None:
    script = Script(heard=["hello", "hello", RuntimeError("the model is ill")])
    async with running(scripted_engine(script)) as server, talk(server), talk(server) as second:
        for _ in range(2):
            await second.ask()
            await second.until("response.done")
        await second.append(question(24_000, silence_s=2.0))
        await second.until("conversation.item.input_audio_transcription.failed")
    lines = log.getvalue().splitlines()
    if lines[0].startswith("{"):
        told = [json.loads(line) for line in lines]
        replies = [(line["session"], line["turn"]) for line in told if line["message"].startswith("reply completed")]
        (failure,) = (line for line in told if "exception" in line)
        assert failure["session"] == 2
        assert failure["exception"].endswith("the model is ill")
        assert {line["level"] for line in told} == {"INFO", "ERROR"}
        assert all(datetime.fromisoformat(line["time"]).tzinfo for line in told)
        assert "session" not in told[0]
    else:
        replies = [
            (int(line.split("session ")[1][0]), int(line.split("turn ")[1][0]))
            for line in lines
            if "]: reply completed" in line
        ]
        assert any("[session 2" in line and "ERROR" in line for line in lines)
        assert lines[-1].endswith("s")
    assert replies == [(2, 1), (2, 2)]


FORGED = "a model failed: \n2026-11-25 INFO server: all is well\r\x1b[2J\u2028\ud800"


def formatted(error: Exception | None = None) -> tuple[str, str]:
    """A line of the log with what somebody has forged in it, as text and as JSON."""
    exc_info = None if error is None else (type(error), error, error.__traceback__)
    record = logging.LogRecord("server", logging.INFO, __file__, 1, "%s", (FORGED,), exc_info)
    note_ids(record)
    text, record.exc_text = TextFormatter().format(record), None
    return text, JsonFormatter().format(record)


def test_nobody_writes_lines_of_his_own_into_the_log() -> None:
    text, told = formatted()
    assert len(text.splitlines()) == len(told.splitlines()) == 1
    assert text.isprintable()
    assert told.isascii()
    assert "\\n2026-11-25" in text
    assert json.loads(told)["message"] == FORGED


def test_not_by_the_words_of_an_error_either() -> None:
    """As those of a language model that is elsewhere, or of a library that quotes what it could not read."""
    text, told = formatted(ValueError(FORGED))
    below = text.splitlines()[1:]
    assert below
    assert all(line.startswith("    ") and line.isprintable() for line in below)
    assert "    2026-11-25 INFO server: all is well" in text
    assert len(told.splitlines()) == 1
    assert FORGED in json.loads(told)["exception"]
