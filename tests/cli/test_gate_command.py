"""`s2s gate` from the outside: its exit codes, and what keeps it from starting."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from cli.gate import gate
from client.connection import UnavailableError
from harness.fixtures import Fixture, FixtureError
from harness.run import Run
from harness.run_settings import RunSettings
from harness.self_test.driving import Outcome


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The history of these runs is nobody's."""
    monkeypatch.chdir(tmp_path)


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(gate, ["--judge", "none", *arguments])


def test_a_lost_server_fails_with_a_report(tmp_path: Path) -> None:
    folder = tmp_path / "report"
    result = invoke(
        "--endpoint", "ws://127.0.0.1:1", "--language", "en", "--tier", "synthetic", "--report", str(folder)
    )
    assert result.exit_code == 1, result.output
    assert "nothing listens at ws://127.0.0.1:1" in result.output
    assert (folder / "report.html").is_file()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--endpoint", "nonsense"), "is not a websocket address"),
        (("--language", "de"), "unknown language 'de'"),
        (("--target", "realtime"), "needs an address"),
        (("--endpoint", "ws://127.0.0.1:1", "--gates", "/no/such/file"), "/no/such/file"),
    ],
)
def test_a_run_that_cannot_start_is_invalid_and_says_why(tmp_path: Path, arguments: tuple[str, ...], said: str) -> None:
    result = invoke("--tier", "synthetic", "--report", str(tmp_path / "report"), *arguments)
    assert result.exit_code == 3, result.output
    assert said in result.output


@pytest.mark.parametrize("arguments", [("--endpoint", "ws://127.0.0.1:1"), ("--target", "in-process")])
def test_serve_is_for_a_server_of_its_own(arguments: tuple[str, ...]) -> None:
    result = invoke("--serve", *arguments)
    assert result.exit_code == 2
    assert "--serve gates a server of its own" in result.output


@pytest.mark.parametrize(("target", "path"), [("realtime", "/v1/realtime"), ("endpoint", "/ws")])
def test_serve_gates_the_server_it_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, target: str, path: str
) -> None:
    dialled: list[str | None] = []
    stopped: list[bool] = []

    @asynccontextmanager
    async def own_server(log: Path, **_settings: object) -> AsyncIterator[str]:
        assert log.parent.is_dir()
        yield "ws://127.0.0.1:7"
        stopped.append(True)

    @asynccontextmanager
    async def open_run(settings: RunSettings, *_rest: object, **_settings: object) -> AsyncIterator[Run]:
        dialled.append(settings.endpoint)
        raise UnavailableError("far enough")
        yield

    monkeypatch.setattr("harness.own_server.own_server", own_server)
    monkeypatch.setattr("harness.run.open_run", open_run)
    result = invoke("--serve", "--target", target, "--tier", "synthetic", "--report", str(tmp_path / "report"))
    assert "far enough" in result.output
    assert dialled == [f"ws://127.0.0.1:7{path}"]


@pytest.mark.parametrize(("audio", "folder"), [((), "mine"), (("--audio", "sound"), "sound")])
def test_own_clips_lie_beside_their_manifest_unless_it_is_said_where(
    monkeypatch: pytest.MonkeyPatch, audio: tuple[str, ...], folder: str
) -> None:
    asked: list[RunSettings] = []

    def choose(settings: RunSettings) -> list[Fixture]:
        asked.append(settings)
        raise FixtureError("far enough")

    monkeypatch.setattr("harness.run_settings.choose", choose)
    assert "far enough" in invoke("--manifest", "mine/manifest.jsonl", *audio).output
    assert [(one.manifest, one.audio) for one in asked] == [(Path("mine/manifest.jsonl"), Path(folder))]


def test_of_its_own_server_that_is_lost_it_tells_where_its_words_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    @asynccontextmanager
    async def own_server(log: Path, **_settings: object) -> AsyncIterator[str]:
        yield "ws://127.0.0.1:1"

    monkeypatch.setattr("harness.own_server.own_server", own_server)
    folder = tmp_path / "report"
    arguments = ["--serve", "--language", "en", "--tier", "synthetic", "--report", str(folder)]
    result = invoke(*arguments)
    assert result.exit_code == 1, result.output
    assert f"what the server said: {folder / 'server.log'}" in result.output


def test_the_token_stays_out_of_sight(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_TOKEN", "sesame")
    folder = tmp_path / "report"
    arguments = ["--endpoint", "ws://127.0.0.1:1", "--language", "ko", "--tier", "synthetic", "--limit", "1"]
    result = invoke(*arguments, "--token-env", "MY_TOKEN", "--report", str(folder))
    assert "sesame" not in result.output
    assert not [path for path in folder.rglob("*") if path.is_file() and b"sesame" in path.read_bytes()]


@pytest.mark.parametrize("arguments", [("--endpoint", "ws://127.0.0.1:1"), ("--target", "realtime"), ("--serve",)])
def test_the_self_test_has_a_server_of_its_own(arguments: tuple[str, ...]) -> None:
    result = invoke("--self-test", *arguments)
    assert result.exit_code == 2
    assert "--self-test has a server of its own" in result.output


@pytest.mark.parametrize(
    ("outcome", "code", "said"),
    [
        (Outcome(clean=30), 0, "may be trusted"),
        (Outcome(clean=30, false_findings=["a click"]), 1, "wrong: found on a good reply: a click"),
        (Outcome(late=1), 3, "close other programs"),
    ],
)
def test_the_self_test_says_what_it_found(
    monkeypatch: pytest.MonkeyPatch, outcome: Outcome, code: int, said: str
) -> None:
    @asynccontextmanager
    async def reference_server() -> AsyncIterator[str]:
        yield "ws://127.0.0.1:7"

    async def drive(address: str, *, on_turn: Callable[[str], None]) -> Outcome:
        assert address == "ws://127.0.0.1:7"
        on_turn("good reply")
        return outcome

    monkeypatch.setattr("harness.self_test.server.reference_server", reference_server)
    monkeypatch.setattr("harness.self_test.driving.drive", drive)
    result = invoke("--self-test")
    assert result.exit_code == code, result.output
    assert said in result.output


def test_a_self_test_that_cannot_start_is_invalid(monkeypatch: pytest.MonkeyPatch) -> None:
    @asynccontextmanager
    async def reference_server() -> AsyncIterator[str]:
        raise UnavailableError("the server ended")
        yield

    monkeypatch.setattr("harness.self_test.server.reference_server", reference_server)
    result = invoke("--self-test")
    assert result.exit_code == 3
    assert "the server ended" in result.output
