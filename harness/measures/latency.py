"""How long the caller waited: all from the annotated end of speech, all from what arrived.

Definitions: see docs/measures.md. A reply that begins before the end of speech has a negative latency, and keeps it.
"""

from __future__ import annotations

from dataclasses import dataclass

VERSION = 1

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
    """A loudspeaker that starts when `prebuffer_ms` of the reply have arrived, and plays on at once after a gap.

    `start_s` is None when nothing arrived. `underrun_s` is the sum of the gaps.
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
    """All in seconds since the end of speech; None where it never happened."""

    first_byte_s: float | None
    ttfa_s: float | None
    ended_s: float | None
    playback: tuple[Playback, ...]
    waterfall: tuple[Bar, ...]
    sender_late_p99_s: float
    sender_late_max_s: float
