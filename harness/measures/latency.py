"""How long the caller waited: all from the annotated end of speech, all from what arrived.

A reply that begins before the end of speech has a negative latency, and keeps it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from harness.recording import Outcome, Recording
from harness.reply import Reply

VERSION = 2
"""2: playback is of each reply by itself: the pause between two replies is no underrun, and each is prebuffered."""

LATE_P99_S = 0.005
LATE_MAX_S = 0.020
AUDIBLE_DBFS = -40.0
AUDIBLE_WINDOW_S = 0.010
PREBUFFERS_MS = (0, 60, 120, 200)

STAGES = (
    "pause",
    "committed",
    "transcript",
    "first_token",
    "first_clause",
    "first_sample",
    "first_sent",
    "received",
    "audible",
)
"""In the order of the cascade; the last two are seen by the harness, the others are told by the server's trace."""


@dataclass(frozen=True, slots=True)
class Playback:
    """A loudspeaker that starts when `prebuffer_ms` of a reply have arrived, and plays on at once after a gap.

    `start_s` is that of the first reply, None when nothing arrived. `underrun_s` is the sum of the gaps inside replies.
    """

    prebuffer_ms: int
    start_s: float | None
    underruns: int
    underrun_s: float


@dataclass(frozen=True, slots=True)
class Bar:
    """One stage of the waterfall.

    Attributes:
        stage: one of `STAGES`, or `unexplained`.
        at_s: when the stage was through; None where that is not known.
        length_s: what the stage added to the wait. 0 for a stage that was through before an earlier one was, as
            happens when work starts before the turn is committed.
    """

    stage: str
    at_s: float | None
    length_s: float


@dataclass(frozen=True, slots=True)
class Latency:
    """All in seconds since the end of speech; None where it never happened.

    `cold`: it was the first conversation of the run, which stands apart: its waits are in no quantile.
    """

    first_byte_s: float | None
    ttfa_s: float | None
    ended_s: float | None
    playback: tuple[Playback, ...]
    waterfall: tuple[Bar, ...]
    sender_late_p99_s: float
    sender_late_max_s: float
    cold: bool = False


def outcome(recording: Recording) -> Outcome:
    """How the turn came out. What the harness itself spoilt comes first: it says nothing about the server."""
    if is_late(recording.lateness_s):
        return "invalid"
    if recording.error is not None:
        return "error"
    first_s = _first_byte(recording)
    if first_s is None:
        return "no-answer"
    return "cut-in" if first_s < recording.end_of_speech_s else "answered"


def measure(recording: Recording) -> Latency:
    """Every latency of one turn."""
    replies = Reply.each(recording)
    first_s = _first_byte(recording)
    audible_s = _first_audible(Reply.of(recording))
    zero_s = recording.end_of_speech_s
    waits = audible_s is not None and first_s is not None and first_s >= zero_s
    p99_s, max_s = lateness(recording.lateness_s)
    return Latency(
        first_byte_s=_since(zero_s, first_s),
        ttfa_s=_since(zero_s, audible_s),
        ended_s=_since(zero_s, recording.ended_s),
        playback=tuple(_play(replies, ms, recording) for ms in PREBUFFERS_MS),
        waterfall=_waterfall(recording.trace or {}, zero_s, first_s or 0.0, audible_s or 0.0) if waits else (),
        sender_late_p99_s=_rounded(p99_s),
        sender_late_max_s=_rounded(max_s),
        cold=recording.cold,
    )


def is_late(lateness_s: Sequence[float]) -> bool:
    """Whether the harness's own sender was so late that what it sent says nothing about the server."""
    p99_s, max_s = lateness(lateness_s)
    return p99_s > LATE_P99_S or max_s > LATE_MAX_S


def lateness(lateness_s: Sequence[float]) -> tuple[float, float]:
    """Of the harness's own sender: p99 (the nearest rank) and the largest, seconds."""
    if not lateness_s:
        return 0.0, 0.0
    return float(np.quantile(lateness_s, 0.99, method="inverted_cdf")), max(lateness_s)


def _first_byte(recording: Recording) -> float | None:
    return next((chunk.at_s for chunk in recording.chunks if chunk.pcm), None)


def _first_audible(reply: Reply) -> float | None:
    """When the first audible sound leaves a loudspeaker that plays what has arrived, in order, at once.

    That sound is the first 10 ms whose RMS is above -40 dBFS; it begins with its first sample that is as loud as that.
    """
    samples = reply.floats
    window = min(round(AUDIBLE_WINDOW_S * reply.rate_hz), samples.size)
    if not window:
        return None
    level = 10 ** (AUDIBLE_DBFS / 20)
    energy = np.concatenate(([0.0], np.cumsum(samples**2)))
    audible = energy[window:] - energy[:-window] > window * level**2
    if not audible.any():
        return None
    start = int(np.argmax(audible))
    onset = start + int(np.argmax(np.abs(samples[start:]) >= level))
    chunk = reply.chunk_of(onset)
    played_s = schedule(reply, float(reply.arrivals_s[0]))[0]
    return float(played_s[chunk] + (onset - reply.starts[chunk]) / reply.rate_hz)


def schedule(reply: Reply, start_s: float) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """When each chunk starts to play, and the gap before it: float64, shape (chunks,) each, seconds."""
    played_s = np.empty(reply.ends.size)
    gaps_s = np.zeros(reply.ends.size)
    free_s = start_s
    for index, (arrived_s, samples) in enumerate(zip(reply.arrivals_s, reply.ends - reply.starts, strict=True)):
        # One without a whole sample plays nothing, so it must not end a gap either.
        played_s[index] = max(free_s, arrived_s) if samples else free_s
        gaps_s[index] = played_s[index] - free_s
        free_s = played_s[index] + samples / reply.rate_hz
    return played_s, gaps_s


def _play(replies: Sequence[Reply], prebuffer_ms: int, recording: Recording) -> Playback:
    """A reply shorter than the prebuffer starts when it is known to be over, and none before the one before it ends."""
    first_s: float | None = None
    free_s = -math.inf
    gaps = np.empty(0)
    for reply in replies:
        if not reply.samples.size:
            continue
        enough = np.flatnonzero((reply.ends > 0) & (1_000 * reply.ends >= prebuffer_ms * reply.rate_hz))
        last_s = float(reply.arrivals_s[-1])
        over_s = max(last_s, recording.ended_s or last_s) if reply is replies[-1] else last_s
        start_s = max(free_s, float(reply.arrivals_s[enough[0]]) if enough.size else over_s)
        first_s = start_s if first_s is None else first_s
        played_s, gaps_s = schedule(reply, start_s)
        gaps = np.concatenate((gaps, gaps_s[gaps_s > 1 / reply.rate_hz]))
        free_s = float(played_s[-1]) + float(reply.ends[-1] - reply.starts[-1]) / reply.rate_hz
    start = _since(recording.end_of_speech_s, first_s)
    return Playback(prebuffer_ms, start, gaps.size, _rounded(float(gaps.sum())))


def _waterfall(trace: dict[str, float], zero_s: float, received_s: float, audible_s: float) -> tuple[Bar, ...]:
    """What each stage added to the wait. The lengths add up to the time to first audio, exactly.

    A stage accounts for the time since the stages before it were through; if the one right before it is missing, that
    time belongs to nobody and goes to `unexplained`, as does what is left over where the server's account runs past
    what was heard.
    """
    at_s = {stage: trace[f"{stage}_s"] - zero_s for stage in STAGES if math.isfinite(trace.get(f"{stage}_s", math.nan))}
    at_s |= {"received": received_s - zero_s, "audible": audible_s - zero_s}
    bars: list[Bar] = []
    reached_s, explained_s, before_known = 0.0, 0.0, True
    for stage in STAGES:
        through_s = at_s.get(stage)
        length_s = max(0.0, through_s - reached_s) if through_s is not None else 0.0
        reached_s += length_s
        if not before_known:
            length_s = 0.0
        before_known = through_s is not None
        explained_s += length_s
        bars.append(Bar(stage, None if through_s is None else _rounded(through_s), _rounded(length_s)))
    return (*bars, Bar("unexplained", None, _rounded(at_s["audible"] - explained_s)))


def _since(zero_s: float, at_s: float | None) -> float | None:
    return None if at_s is None else _rounded(at_s - zero_s)


def _rounded(seconds: float) -> float:
    """To the microsecond: finer than anything measured, and short to write."""
    return round(seconds, 6)
