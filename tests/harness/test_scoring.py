from __future__ import annotations

import math
from dataclasses import replace

import pytest

from harness.fixtures import Fixture, available, read
from harness.recording import Chunk, Evidence, Recording
from harness.results import TurnRow
from harness.scoring import VERSIONS, score_again, score_turn
from pipeline.audio import FloatArray, float_to_pcm16


class Listener:
    """A judge that tells the length of what it hears in tenths of a second."""

    name = "listener"
    version = "1"

    def transcribe(self, samples_16k: FloatArray, language: str) -> str:
        return f"{language} {round(10 * samples_16k.size / 16_000)}"


@pytest.fixture
def fixture() -> Fixture:
    return available("synthetic", ["fr"], limit=1)[0]


@pytest.fixture
def recording(fixture: Fixture) -> Recording:
    made = Recording(fixture.id, "fr", "realtime", 0.02, 2.0, ended_s=4.0, heard=fixture.transcript, spoken="fr 10")
    made.chunks = [Chunk(3.0, float_to_pcm16(read(fixture, 24_000)[:24_000]))]
    made.trace = {"pause_s": 2.2, "committed_s": math.inf}
    return made


def test_a_turn_has_every_measure(fixture: Fixture, recording: Recording) -> None:
    row = score_turn(recording, fixture, Listener())
    assert (row.fixture_id, row.language, row.outcome, row.transcript) == (
        fixture.id,
        "fr",
        "answered",
        fixture.transcript,
    )
    assert row.latency.first_byte_s == 1.0
    assert row.clipping is not None
    assert row.clipping.seconds == 1.0
    assert row.heard is not None
    assert row.heard.counts.errors == 0
    assert row.spoken is not None
    assert (row.spoken.hypothesis, row.spoken.counts.errors) == ("fr 10", 0)
    assert row.floor is not None
    assert row.floor.hypothesis == f"fr {round(10 * fixture.duration_s)}"
    assert row.echoed is not None
    assert row.echoed.reference == fixture.transcript
    assert row.trace == {"pause_s": 2.2}
    assert row.versions == VERSIONS


def test_without_a_judge_its_figures_are_missing(fixture: Fixture, recording: Recording) -> None:
    row = score_turn(recording, fixture, None)
    assert (row.spoken, row.floor, row.echoed) == (None, None, None)
    assert row.heard is not None


def test_a_protocol_without_text_leaves_the_echo(fixture: Fixture, recording: Recording) -> None:
    recording.heard = recording.spoken = recording.trace = None
    row = score_turn(recording, fixture, Listener())
    assert (row.heard, row.spoken, row.trace) == (None, None, None)
    assert row.echoed is not None


def test_without_a_reply_there_is_nothing_to_examine(fixture: Fixture, recording: Recording) -> None:
    recording.chunks = []
    row = score_turn(recording, fixture, Listener())
    assert (row.outcome, row.clipping, row.spoken, row.echoed) == ("no-answer", None, None, None)
    assert row.floor is not None


def told(row: TurnRow, language: str, lufs: float | None) -> TurnRow:
    """The same turn in another language, with a reply of another loudness."""
    assert row.clipping is not None
    return replace(row, language=language, clipping=replace(row.clipping, loudness_lufs=lufs))


def test_the_loudness_of_the_last_reply_in_the_language_is_compared(fixture: Fixture, recording: Recording) -> None:
    """Whatever came after it: another language, no reply, one too short to have a loudness."""
    row = score_turn(recording, fixture, None)
    assert row.clipping is not None
    lufs = row.clipping.loudness_lufs
    assert lufs is not None
    alike, louder = told(row, "fr", lufs), told(row, "fr", lufs + 8)
    others = [told(row, "es", lufs + 8), replace(row, clipping=None), told(row, "fr", None)]

    def steps(*before: TurnRow) -> bool:
        found = [
            score_turn(recording, fixture, None, before=before).clipping,
            score_again(row, recording, Evidence.of(recording), before=before).clipping,
        ]
        said = {"loudness-step" in {finding.check for finding in one.findings} for one in found if one}
        assert len(said) == 1
        return said.pop()

    assert steps(alike, louder, *others)
    assert not steps(louder, alike, *others)
    assert not steps(*others)
