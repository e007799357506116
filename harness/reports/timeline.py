"""One turn on one axis of time: what was asked, what came back as a loudspeaker plays it, and what happened."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import numpy as np
import soxr

from client.audio import FloatArray
from harness.measures.clipping import Finding
from harness.measures.latency import schedule
from harness.recording import Recording
from harness.reply import Reply
from harness.reports import sound
from harness.reports.axis import Axis
from harness.reports.sound import Piece
from harness.restoring import is_inside, read_question, read_reply, restore
from harness.results import ResultsError, RunHeader, TurnRow

LONGEST_S = 300.0
"""No turn that is drawn lasts longer; a time beyond it is a mistake, of a server or of the file."""


@dataclass(frozen=True, slots=True)
class Event:
    """A moment of the turn. `told_by` is who knows of it: the clip's marks, the server, or the harness."""

    name: str
    told_by: str
    at_s: float
    since_s: float
    """Seconds since the end of speech."""
    place: float


@dataclass(frozen=True, slots=True)
class Mark:
    """A finding in the reply; `at_s` is when a loudspeaker would have played it."""

    finding: Finding
    at_s: float
    place: float


@dataclass(frozen=True, slots=True)
class Gap:
    """An underrun: the loudspeaker had nothing to play."""

    at_s: float
    seconds: float
    place: float
    width: float


@dataclass(frozen=True, slots=True)
class Timeline:
    """A turn as it is drawn; places and widths are in per cent of the axis.

    Attributes:
        axis: seconds since the first sample of the question.
        asked: outline of the question, an SVG path; empty without its audio.
        replied: outline of the reply.
        audio: both of them on the axis, as a data URI; None where there was no room for it, or nothing to hear.
        reply_at_s: where the reply begins; None without one.
        originals: name and address of the files as they were recorded, beside the page.
        notes: what could not be shown, and why.
    """

    axis: Axis
    asked: str
    replied: str
    events: tuple[Event, ...]
    marks: tuple[Mark, ...]
    gaps: tuple[Gap, ...]
    audio: str | None
    reply_at_s: float | None
    originals: tuple[tuple[str, str], ...]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Played:
    """A reply as a loudspeaker that plays at once would have played it."""

    pieces: tuple[Piece, ...] = ()
    gaps_s: tuple[tuple[float, float], ...] = ()
    at_s: Callable[[float], float] = lambda _at_ms: 0.0
    """From a millisecond of the recording's audio to the time at which it was played."""


def draw(folder: Path, header: RunHeader, row: TurnRow, kilobits: int | None) -> Timeline:
    """A turn of a run in `folder`, its audio embedded at so many kilobits a second, or not at all."""
    notes: list[str] = []
    question = Piece(0.0, _or_silence(lambda: read_question(folder, row, sound.RATE_HZ), notes))
    ended_s = _end_of_speech(row, question, notes)
    played = _played(folder, header, row, ended_s, notes)
    events = _events(row, ended_s)
    ends_s = [question.end_s, ended_s, *(p.end_s for p in played.pieces), *(at_s for _, _, at_s in events)]
    axis = Axis.of([at_s for at_s in ends_s if 0 <= at_s <= LONGEST_S])
    audio = None
    if kilobits and (question.samples.size or played.pieces):
        audio = sound.encode(sound.mix([question], played.pieces), kilobits)
    findings = row.clipping.findings if row.clipping and played.pieces else ()
    return Timeline(
        axis=axis,
        asked=sound.outline([question], axis.high),
        replied=sound.outline(played.pieces, axis.high),
        events=tuple(Event(name, by, at_s, at_s - ended_s, axis.inside(at_s)) for name, by, at_s in events),
        marks=tuple(Mark(f, at_s, axis.inside(at_s)) for f in findings for at_s in [played.at_s(f.at_ms)]),
        gaps=tuple(Gap(at_s, length, axis.inside(at_s), axis.width(length)) for at_s, length in played.gaps_s),
        audio=audio,
        reply_at_s=max(0.0, played.pieces[0].start_s) if played.pieces else None,
        originals=tuple(_originals(folder, row)),
        notes=tuple(notes),
    )


def _originals(folder: Path, row: TurnRow) -> Iterator[tuple[str, str]]:
    for name, relative in (("question", row.question), ("reply", row.reply)):
        if relative and is_inside(folder, relative):
            yield name, quote(relative)


def _or_silence(read: Callable[[], FloatArray], notes: list[str]) -> FloatArray:
    try:
        return read()
    except ResultsError as error:
        notes.append(str(error))
        return np.zeros(0, dtype=np.float32)


def _end_of_speech(row: TurnRow, question: Piece, notes: list[str]) -> float:
    if row.evidence is not None:
        return row.evidence.end_of_speech_s
    notes.append(
        "Stored in schema 1, without the place of the end of speech: here it is taken to be the end of the clip, and "
        "everything after it is drawn from there."
    )
    return question.end_s


def _played(folder: Path, header: RunHeader, row: TurnRow, ended_s: float, notes: list[str]) -> _Played:
    if row.reply is None:
        return _Played()
    if row.evidence is None:
        samples = _or_silence(lambda: read_reply(folder, row, sound.RATE_HZ), notes)
        start_s = ended_s + (row.latency.first_byte_s or 0.0)
        return _Played((Piece(start_s, samples),) if samples.size else (), (), lambda at_ms: start_s + at_ms / 1_000)
    try:
        recording = restore(folder, header.target, row)
    except ResultsError as error:
        notes.append(str(error))
        return _Played()
    played = _schedule(recording)
    if any(piece.start_s < 0 or piece.end_s > LONGEST_S for piece in played.pieces):
        notes.append(f"The reply did not arrive within {LONGEST_S:.0f} s from the start: it is not drawn.")
        return _Played()
    return played


def _schedule(recording: Recording) -> _Played:
    reply = Reply.of(recording)
    if not reply.samples.size:
        return _Played()
    played_s, waits_s = schedule(reply, float(reply.arrivals_s[0]))
    starts, chunks = reply.starts, recording.chunks
    stands = [i for i in range(len(chunks)) if i == 0 or waits_s[i] > 1 / reply.rate_hz]
    samples = reply.floats.astype(np.float32)
    pieces = []
    for first, following in zip(stands, [*stands[1:], len(chunks)], strict=True):
        part = samples[starts[first] : reply.ends[following - 1]]
        if part.size:
            part = soxr.resample(part, reply.rate_hz, sound.RATE_HZ, quality="HQ")
            pieces.append(Piece(float(played_s[first]), part))
    gaps = tuple(
        (float(played_s[i] - waits_s[i]), float(waits_s[i]))
        for i in stands[1:]
        if starts[i] > 0 and chunks[i].reply == chunks[i - 1].reply
    )

    def at_s(at_ms: float) -> float:
        sample = min(round(at_ms * reply.rate_hz / 1_000), reply.samples.size - 1)
        chunk = reply.chunk_of(sample)
        return float(played_s[chunk] + (sample - starts[chunk]) / reply.rate_hz)

    return _Played(tuple(pieces), gaps, at_s)


def _events(row: TurnRow, ended_s: float) -> list[tuple[str, str, float]]:
    """Name, who tells of it, and when; in the order of time."""
    trace, latency = row.trace or {}, row.latency
    found: list[tuple[str, str, float | None]] = [
        ("end of speech", "the clip's marks", ended_s),
        ("pause noticed", "the server", trace.get("pause_s")),
        ("turn committed", "the server", trace.get("committed_s")),
        ("first byte", "the harness", _plus(ended_s, latency.first_byte_s)),
        ("first audible", "the harness", _plus(ended_s, latency.ttfa_s)),
        ("server done", "the server", _plus(ended_s, latency.ended_s)),
    ]
    known = [(name, by, at_s) for name, by, at_s in found if at_s is not None]
    return sorted(known, key=lambda event: event[2])


def _plus(ended_s: float, since_s: float | None) -> float | None:
    return None if since_s is None else ended_s + since_s


def seconds_of_sound(rows: Sequence[TurnRow]) -> float:
    """About how much there is to embed, from what is known without opening the files."""
    return sum(_length(row) for row in rows)


def _length(row: TurnRow) -> float:
    ended_s = row.evidence.end_of_speech_s if row.evidence else 10.0
    wait_s = max(0.0, row.latency.first_byte_s or 0.0)
    return ended_s + 0.5 + wait_s + (row.clipping.seconds if row.clipping else 0.0)
