"""What is drawn of a run beside its charts: sounds, and one axis of time for each turn."""

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
from harness.reports import sound
from harness.reports.sound import Piece
from harness.reports.timeline import draw
from harness.results import RunHeader
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
    for seconds in (500, 1_000, 1_700, 2_400):
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
