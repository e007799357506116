"""A scenario on one axis of time: what was said, what was heard back, and what went wrong where."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Literal

import numpy as np

from client.audio import FloatArray
from harness.measures.behaviour import Check
from harness.reports import sound
from harness.reports.axis import Axis
from harness.reports.sound import Piece
from harness.restoring import read_scenario
from harness.results import ResultsError, ScenarioRow
from harness.scenarios.loudspeaker import Loudspeaker

LONGEST_S = 300.0
"""No scenario that is drawn lasts longer; a time beyond it is a mistake, of a server or of the file."""


@dataclass(frozen=True, slots=True)
class Speech:
    """The speech of a line, or its sound where nobody speaks; place and width in per cent of the axis."""

    name: str
    place: float
    width: float


@dataclass(frozen=True, slots=True)
class Flaw:
    """Something that went wrong at a known moment."""

    check: Check
    at_s: float
    place: float


@dataclass(frozen=True, slots=True)
class Scene:
    """A scenario as it is drawn; `number` is its place in the run, from 1.

    Attributes:
        asked: outline of what was sent, an SVG path; empty without its audio.
        replied: outline of what the caller's loudspeaker played.
        audio: both, as a data URI; None where there was no room for it, or nothing to hear.
        notes: what could not be shown, and why.
    """

    number: int
    row: ScenarioRow
    axis: Axis
    asked: str
    replied: str
    speech: tuple[Speech, ...]
    flaws: tuple[Flaw, ...]
    audio: str | None
    notes: tuple[str, ...]


def draw(folder: Path, number: int, row: ScenarioRow, kilobits: int | None) -> Scene:
    """A scenario of a run in `folder`, its audio embedded at so many kilobits a second, or not at all."""
    notes: list[str] = []
    sent = _or_silence(folder, row, "question", notes)
    asked = [Piece(0.0, sent)] if sent.size else []
    replied = list(_heard(row, _or_silence(folder, row, "reply", notes)))
    if any(piece.start_s < 0 or piece.end_s > LONGEST_S for piece in [*asked, *replied]):
        notes.append(f"Not all of it lies within {LONGEST_S:.0f} s from the start: it is not drawn.")
        asked, replied = [], []
    flaws = [(c, c.at_ms / 1_000) for c in row.checks if c.verdict == "broken" and c.at_ms is not None]
    ends_s = [row.evidence.over_s, *(piece.end_s for piece in [*asked, *replied])]
    axis = Axis.of([end_s for end_s in ends_s if 0 <= end_s <= LONGEST_S])
    audio = sound.encode(sound.mix(asked, replied), kilobits) if kilobits and (asked or replied) else None
    return Scene(
        number=number,
        row=row,
        axis=axis,
        asked=sound.outline(asked, axis.high),
        replied=sound.outline(replied, axis.high),
        speech=tuple(_speech(row, axis)),
        flaws=tuple(Flaw(check, at_s, axis.inside(at_s)) for check, at_s in flaws),
        audio=audio,
        notes=tuple(notes),
    )


def seconds_of_sound(rows: Sequence[ScenarioRow]) -> float:
    """About how much there is to embed."""
    return sum(min(max(row.evidence.over_s, 0.0), LONGEST_S) for row in rows)


def _or_silence(folder: Path, row: ScenarioRow, what: Literal["question", "reply"], notes: list[str]) -> FloatArray:
    if (row.question if what == "question" else row.reply) is None:
        return np.zeros(0, dtype=np.float32)
    try:
        return read_scenario(folder, row, what, sound.RATE_HZ)
    except ResultsError as error:
        notes.append(str(error))
        return np.zeros(0, dtype=np.float32)


def _speech(row: ScenarioRow, axis: Axis) -> Iterator[Speech]:
    for said in row.said:
        if said.speech_start_s is not None and said.speech_end_s is not None:
            place, end = axis.inside(said.speech_start_s), axis.inside(said.speech_end_s)
            yield Speech(said.what, place, round(end - place, 2))


def _heard(row: ScenarioRow, samples: FloatArray) -> Iterator[Piece]:
    """The replies as a loudspeaker plays them that stops when the server hears the caller speak."""
    evidence, loudspeaker = row.evidence, Loudspeaker()
    bytes_a_second = 2 * evidence.channels * evidence.rate_hz
    ends = [0, *accumulate(max(0, chunk.bytes) for chunk in evidence.chunks)]
    stops = [
        *evidence.speech_started_s,
        *(r.ended_s for r in evidence.replies if r.cancelled and r.ended_s is not None),
    ]
    happened = sorted([(chunk.at_s, number) for number, chunk in enumerate(evidence.chunks)] + [(s, -1) for s in stops])
    pieces: list[Piece] = []
    reply = None
    for at_s, number in happened:
        if number < 0:
            loudspeaker.stop(at_s)
            pieces = [Piece(p.start_s, p.samples[: max(0, round((at_s - p.start_s) * sound.RATE_HZ))]) for p in pieces]
            continue
        if evidence.chunks[number].reply != reply:
            reply = evidence.chunks[number].reply
            loudspeaker.begin()
        start, end = (round(ends[edge] / bytes_a_second * sound.RATE_HZ) for edge in (number, number + 1))
        begun_s = loudspeaker.take(at_s, (ends[number + 1] - ends[number]) / bytes_a_second)
        if begun_s is not None:
            pieces.append(Piece(begun_s, samples[start:end]))
    yield from _joined([piece for piece in pieces if piece.samples.size])


def _joined(pieces: Sequence[Piece]) -> Iterator[Piece]:
    """Pieces that follow each other without a gap, as one: hundreds of outlines would be a heavy page."""
    run: list[Piece] = []
    for piece in pieces:
        if run and piece.start_s - run[-1].end_s > 2 / sound.RATE_HZ:
            yield Piece(run[0].start_s, np.concatenate([one.samples for one in run]))
            run = []
        run.append(piece)
    if run:
        yield Piece(run[0].start_s, np.concatenate([one.samples for one in run]))
