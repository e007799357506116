"""Turns, runs and servers to compare."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from client.events import Heard, ReplyAudio, ReplyEnded, Spoken
from harness.results import RunHeader

Script = list[tuple[float, object]]


@pytest.fixture
def answer() -> Callable[..., Script]:
    """`answer(after_s)`: a reply that begins so long after the speech of a scripted clip."""

    def script(after_s: float = 0.4) -> Script:
        at_s = 0.4 + after_s
        return [
            (0.5, Heard("hello")),
            (0.5, Spoken("Hi.")),
            (at_s, ReplyAudio(b"\x00\x08" * 4800)),
            (at_s + 0.2, ReplyEnded()),
        ]

    return script


@pytest.fixture
def header() -> RunHeader:
    return RunHeader(
        "realtime",
        "embedded",
        "synthetic",
        "2026-11-22T02:00:00+00:00",
        machine={"system": "Linux x86_64", "cores": "2", "processor": "a fast one", "calibration_ms": "50.0"},
        versions={"latency": "1", "words": "1", "clipping": "1"},
    )


@pytest.fixture
def serve(
    monkeypatch: pytest.MonkeyPatch, scripted_target: Callable[..., object]
) -> Callable[[dict[str, list[object]]], None]:
    """`serve({address: [script, ...]})`: what is opened at each address."""

    def at(scripts: dict[str, list[object]]) -> None:
        targets = {address: scripted_target(*own) for address, own in scripts.items()}

        @asynccontextmanager
        async def scripted(_name: object, endpoint: str, **_settings: object) -> AsyncIterator[object]:
            yield targets[endpoint]

        monkeypatch.setattr("harness.run.open_target", scripted)
        monkeypatch.setattr("harness.reports.write_all", lambda folder, **_: (folder / "report.html").touch())

    return at


@pytest.fixture
def clips(make_clip: Callable[..., object]) -> list[object]:
    return [make_clip(f"{language}_{number}", language) for number in range(4) for language in ("en", "fr")]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "report"
