"""What is drawn of a run: sounds, one axis of time for each turn, the spread of the waits, the history."""

from __future__ import annotations

import base64
import io
import re
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest
import soundfile

from harness import results
from harness.fixtures import available, read
from harness.recording import Arrival, Chunk, Recording
from harness.reports import TrendPoint, sound
from harness.reports.sound import Piece
from harness.reports.spread import axis_of, spread
from harness.reports.timeline import draw
from harness.reports.trend import trends
from harness.results import RunHeader, VerdictRow
from harness.scoring import score_turn
from pipeline.audio import FloatArray, float_to_pcm16

HEADER = RunHeader("realtime", "embedded", "synthetic", "")
REPLY_BYTES = 205_440
"""Of the first turn of `reported`."""


@pytest.mark.parametrize("path", ["../secret.wav", "/etc/passwd", "javascript:alert(1)", "results.jsonl", "", None])
def test_only_sounds_of_the_run_are_shown(reported: Path, path: str | None) -> None:
    (reported.parent / "secret.wav").write_bytes((reported / "replies/en-01.wav").read_bytes())
    row = replace(results.read(reported).turns[0], question=path, reply=path)
    drawn = draw(reported, HEADER, row, 32)
    assert (drawn.audio, drawn.asked, drawn.replied, drawn.reply_at_s) == (None, "", "", None)
    assert all(urlsplit(address).scheme == "" for _, address in drawn.originals)
    assert not any(".." in address or address.startswith("/") for _, address in drawn.originals)
    assert drawn.notes


def test_what_a_report_plays_has_no_crack_where_a_reply_wrapped_around() -> None:
    tone = 1.2 * np.sin(2 * np.pi * 150 * np.arange(24_000) / 24_000)
    wrapped = (((np.rint(tone * 32_768).astype(np.int64) + 32_768) % 65_536 - 32_768) / 32_768).astype(np.float32)
    assert np.abs(np.diff(wrapped)).max() > 1.9
    played = decoded(sound.encode(sound.mix([], [Piece(0.0, wrapped)]), 64))
    assert np.abs(np.diff(played)).max() < 0.3


def decoded(uri: str | None) -> FloatArray:
    assert uri is not None
    samples, rate_hz = soundfile.read(io.BytesIO(base64.b64decode(uri.partition(",")[2])), dtype="float32")
    return samples if rate_hz == sound.RATE_HZ else np.repeat(samples, 3)[::2]


@pytest.mark.parametrize("kilobits", sound.KILOBITS)
def test_a_sound_is_as_long_and_as_small_as_is_said(kilobits: int) -> None:
    samples = np.sin(np.arange(6 * sound.RATE_HZ) / 20).astype(np.float32)
    uri = sound.encode(samples, kilobits)
    assert len(uri) * 3 / 4 * 8 / 6_000 == pytest.approx(kilobits, rel=0.04)


@pytest.mark.parametrize("kilobits", sound.KILOBITS)
def test_a_sound_is_played_when_it_was(kilobits: int) -> None:
    samples = np.zeros(2 * sound.RATE_HZ, dtype=np.float32)
    samples[sound.RATE_HZ : sound.RATE_HZ + 240] = np.hanning(240) * np.sin(np.arange(240) / 2)
    loudest = np.argmax(np.abs(decoded(sound.encode(samples, kilobits)))) - np.argmax(np.abs(samples))
    assert abs(loudest) / sound.RATE_HZ < 0.001


def test_what_is_embedded_stays_below_its_bound() -> None:
    assert sound.affordable(60) == 64
    for seconds in (500, 1_000, 1_700, 2_500):
        kilobits = sound.affordable(seconds)
        assert kilobits is not None
        assert seconds * kilobits * 1_000 / 8 * 4 / 3 <= sound.EMBEDDED_BYTES
    assert sound.affordable(5_000) is None


def test_both_sides_of_a_turn_lie_on_one_axis(reported: Path) -> None:
    """The reply of `made`: half a second of it in two chunks a second after the speech, the second chunk 0.3 s late."""
    fixture = available("synthetic", ["en"], limit=1)[0]
    made = Recording(fixture.id, "en", "realtime", 0.02, 2.0)
    made.trace = {"pause_s": 2.2, "committed_s": 2.5}
    burst = float_to_pcm16(np.full(6_000, 0.25, dtype=np.float32))
    made.chunks = [Chunk(3.0, burst), Chunk(3.55, burst)]
    made.ended_s = 3.9
    row = replace(
        score_turn(made, fixture, None), question="questions/en-01.flac", reply="replies/made.wav", fixture_id="made"
    )
    soundfile.write(reported / "replies/made.wav", np.frombuffer(2 * burst, "<i2"), 24_000)
    drawn = draw(reported, HEADER, row, 64)
    assert drawn.notes == ()
    assert [(event.name, round(event.at_s, 3)) for event in drawn.events] == [
        ("end of speech", 2.0),
        ("pause noticed", 2.2),
        ("turn committed", 2.5),
        ("first byte", 3.0),
        ("first audible", 3.0),
        ("server done", 3.9),
    ]
    assert drawn.events[2].since_s == pytest.approx(0.5)
    (gap,) = drawn.gaps
    assert (gap.at_s, gap.seconds) == (pytest.approx(3.25), pytest.approx(0.3))
    assert gap.place == pytest.approx(drawn.axis.place(3.25))
    assert (row.latency.playback[0].underruns, drawn.reply_at_s) == (1, 3.0)
    played = decoded(drawn.audio)
    question = read(fixture, sound.RATE_HZ)
    alone = played - np.pad(question, (0, max(0, played.size - question.size)))[: played.size]
    for start_s, end_s, loud in ((3.02, 3.22, True), (3.3, 3.5, False), (3.6, 3.75, True)):
        level = np.abs(alone[int(start_s * 24_000) : int(end_s * 24_000)]).mean()
        assert (level > 0.15) == loud, (start_s, level)
    columns = {int(x) for x in re.findall(r"(?:M| )(\d+),", drawn.replied)}
    scale = sound.COLUMNS / drawn.axis.high
    assert {round(3.01 * scale), round(3.7 * scale)} <= columns
    assert not columns & set(range(int(3.3 * scale), int(3.5 * scale)))


def test_a_finding_is_marked_where_it_is_played(reported: Path) -> None:
    row = results.read(reported).turns[3]
    assert row.clipping is not None
    drawn = draw(reported, HEADER, row, None)
    assert drawn.audio is None
    wrap = next(mark for mark in drawn.marks if mark.finding.check == "wrap-around")
    assert row.evidence is not None
    assert wrap.at_s == pytest.approx(row.evidence.chunks[0].at_s + wrap.finding.at_ms / 1_000, abs=0.02)
    assert len(drawn.marks) == len(row.clipping.findings)


@pytest.mark.parametrize(
    "evidence",
    [
        {"rate_hz": 0},
        {"channels": 0},
        {"chunks": (Arrival(1e300, REPLY_BYTES),)},
        {"chunks": (Arrival(-1e300, REPLY_BYTES),)},
        {"chunks": (Arrival(1.0, REPLY_BYTES + 1), Arrival(1.0, -1))},
        {"end_of_speech_s": 1e308},
        {"ended_s": -1e308},
        {"end_of_speech_s": -1e308},
    ],
)
def test_figures_that_cannot_be_are_drawn_as_far_as_they_can(reported: Path, evidence: dict[str, Any]) -> None:
    row = results.read(reported).turns[0]
    assert row.evidence is not None
    assert sum(chunk.bytes for chunk in row.evidence.chunks) == REPLY_BYTES
    drawn = draw(reported, HEADER, replace(row, evidence=replace(row.evidence, **evidence)), 32)
    assert drawn.notes or "chunks" not in evidence
    assert 0 < drawn.axis.high < 600
    assert all(0 <= event.place <= 100 for event in drawn.events)


def test_dots_that_are_near_lie_above_each_other(reported: Path) -> None:
    row = results.read(reported).turns[0]
    waits = [1.0, 1.0, 1.001, 2.0, None]
    rows = [(n, replace(row, latency=replace(row.latency, ttfa_s=wait))) for n, wait in enumerate(waits, 1)]
    limit = VerdictRow("ttfa_s p50", "latency", "en", "fail", 5, "", limit=0.5, value=1.0, low=0.9, high=None)
    axis = axis_of([r for _, r in rows], [limit])
    found = spread("en", rows, [limit], axis)
    assert [(dot.number, dot.lane) for dot in found.dots] == [(1, 0), (2, 1), (3, 2), (4, 0)]
    assert [dot.number for dot in found.never] == [5]
    assert found.lanes == 3
    (p50,) = found.quantiles
    assert (p50.low, p50.high, p50.limit) == (axis.place(0.9), 100.0, axis.place(0.5))


def test_a_limit_far_away_does_not_squeeze_the_dots(reported: Path) -> None:
    rows = results.read(reported).turns[:1]
    limit = VerdictRow("ttfa_s p95", "latency", "en", "not gated", 1, "", limit=60.0, value=1.0)
    axis = axis_of(rows, [limit])
    assert axis.high < 5
    (p95,) = spread("en", list(enumerate(rows, 1)), [limit], axis).quantiles
    assert p95.limit_beyond


def test_the_history_is_drawn() -> None:
    nights = [
        TrendPoint("ttfa_s p50", "en", f"2026-11-{day:02}", 1.0 + day / 10, low=0.9, high=2.0 + day, limit=3.0)
        for day in (3, 1, 2)
    ]
    alone = TrendPoint("heard", "ja", "2026-11-01", 0.0, unit="%", changed=True)
    first, second = trends([*nights, alone])
    assert [placed.point.started[-1] for placed in first.placed] == ["1", "2", "3"]
    assert first.top == pytest.approx(1.25 * 5.0)
    assert first.placed[0].y == pytest.approx(100 * (1 - 1.1 / 6.25), abs=0.1)
    assert first.limit == pytest.approx(100 * (1 - 3 / 6.25), abs=0.1)
    assert len(first.band.split()) == 6
    assert (second.band, second.limit, second.placed[0].x) == ("", None, 50.0)
