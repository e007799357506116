"""A server that is killed while the gate runs against it: the report is written, and says so, and nothing is lost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
import soundfile

from benchmarks.scripted_server import PROGRAM as SCRIPTED
from client.connection import say_nothing
from client.events import ReplyAudio, ServerEvent
from harness import results
from harness.gates import exit_code
from harness.own_server import SERVE, own_server
from harness.replay import _Recorder
from harness.rescoring import rescore
from harness.run import open_run
from harness.run_settings import RunSettings, choose

CHUNKS = 3
"""Of the second reply, after which the server is killed."""


@pytest.mark.asyncio
@pytest.mark.parametrize("path", ["/v1/realtime", "/ws"])
@pytest.mark.parametrize(
    "program",
    [
        pytest.param(SCRIPTED, id="scripted"),
        pytest.param((*SERVE, "--max-sessions", "8"), id="embedded", marks=pytest.mark.models),
    ],
)
async def test_a_server_that_is_killed_in_the_middle_of_a_reply(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, never_late: None, program: Sequence[str], path: str
) -> None:
    folder = tmp_path / "report"
    settings = RunSettings(folder, tier="synthetic", limit=1, history=tmp_path / "history.jsonl")
    clips = choose(settings)
    take = _Recorder.take

    async with own_server(tmp_path / "server.log", on_progress=say_nothing, program=program) as address:
        (server,) = (child for child in psutil.Process().children() if program[1] in child.cmdline())
        models = server.children()

        def take_and_kill(self: _Recorder, at_s: float, event: ServerEvent) -> None:
            take(self, at_s, event)
            brought, recording = isinstance(event, ReplyAudio), self._recording
            if brought and recording.fixture_id == clips[1].id and len(recording.chunks) == CHUNKS:
                server.kill()

        monkeypatch.setattr(_Recorder, "take", take_and_kill)
        async with open_run(replace(settings, endpoint=address + path), clips) as run:
            for clip in clips:
                await run.turn(clip)
    assert not psutil.wait_procs(models, timeout=30)[1]

    found = results.read(folder)
    first, killed, *others = found.turns
    assert first.outcome in ("answered", "cut-in")
    assert first.latency.ttfa_s is not None
    assert killed.outcome == "error"
    assert "without a close frame" in str(killed.error)
    assert killed.evidence is not None
    assert len(killed.evidence.chunks) >= CHUNKS
    samples, _ = soundfile.read(folder / str(killed.reply), dtype="int16")
    assert 2 * len(samples) == sum(chunk.bytes for chunk in killed.evidence.chunks)
    assert ["nothing listens" in str(row.error) for row in others] == [True, True, False, False]
    assert {row.outcome for row in others} == {"error"}

    assert exit_code(found.verdicts) == 1
    (lost,) = (row for row in found.verdicts if row.gate == "server")
    assert lost.verdict == "fail"
    for name in ("report.html", "junit.xml", "summary.md"):
        assert "nothing listens" in (folder / name).read_text(encoding="utf-8")
    assert rescore(folder).kept is None
