"""What was captured when one fixture was played into a target: raw evidence, before any measure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Outcome = Literal["answered", "no-answer", "cut-in", "invalid", "error"]
"""How a turn came out.

answered: reply audio began after the annotated end of speech.
no-answer: none within the limit; counted as missing every latency limit.
cut-in: it began before the end of speech; counted against the gate, never clamped to 0 and never dropped.
invalid: the harness's own sender was too late, so the run says nothing about the server.
error: the target refused, closed or broke the protocol.
"""


@dataclass(frozen=True, slots=True)
class Chunk:
    """Reply audio exactly as received: `at_s` is when, in seconds since the first input frame was due.

    `reply` counts the server's replies from 0: it may answer more than once.
    """

    at_s: float
    pcm: bytes
    reply: int = 0


@dataclass(slots=True)
class Recording:
    """One fixture played into one target.

    Every `*_s` is in seconds since the stream's start, the instant at which the first sample of the fixture would have
    been recorded. `trace` is the server's own account in seconds on the input's sample clock, which is the same axis.
    """

    fixture_id: str
    language: str
    target: str
    frame_s: float
    end_of_speech_s: float
    """Due time of the frame that holds the annotated last sample of speech."""
    lateness_s: list[float] = field(default_factory=list)
    """How late each frame left, one a frame."""
    rate_hz: int = 24_000
    channels: int = 1
    chunks: list[Chunk] = field(default_factory=list)
    ended_s: float | None = None
    """When the server said that the last reply was over; None if it never did."""
    cancelled: list[int] = field(default_factory=list)
    """The replies that the server said it broke off."""
    heard: str | None = None
    """The server's transcript of the fixture; None where the protocol carries none."""
    spoken: str | None = None
    """The text the server says it spoke; None where the protocol carries none."""
    trace: dict[str, float] | None = None
    cold: bool = False
    """The first conversation of a run: the server may have been loading, or filling its caches, meanwhile."""
    error: str | None = None
    """What went wrong, in words; None if nothing did."""
