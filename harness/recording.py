"""What was captured when one fixture was played into a target: raw evidence, before any measure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import accumulate, pairwise
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


@dataclass(frozen=True, slots=True)
class Arrival:
    """A chunk without its audio: when it came, as `Chunk.at_s`, how many bytes it had, and of which reply it was."""

    at_s: float
    bytes: int
    reply: int = 0


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a recording holds beside its audio, and what the judge heard: with the audio, all that a measure takes.

    Every `*_s` is in seconds since the stream's start, as in `Recording`.

    Attributes:
        frame_s: length of a frame of the microphone.
        end_of_speech_s: due time of the frame that holds the annotated last sample of speech.
        lateness_s: how late each frame left.
        rate_hz: of the reply.
        channels: of the reply.
        chunks: of the reply, as they came.
        ended_s: when the server said that the last reply was over.
        cancelled: the replies that the server said it broke off.
        cold: it was the first conversation of a run.
        heard: the server's transcript of the fixture.
        spoken: the text the server says it spoke.
        judge_reply: what the judge heard in the reply; None without a judge or a reply.
        judge_clip: what the judge heard in the fixture; None without a judge.
    """

    frame_s: float
    end_of_speech_s: float
    lateness_s: tuple[float, ...] = ()
    rate_hz: int = 24_000
    channels: int = 1
    chunks: tuple[Arrival, ...] = ()
    ended_s: float | None = None
    cancelled: tuple[int, ...] = ()
    cold: bool = False
    heard: str | None = None
    spoken: str | None = None
    judge_reply: str | None = None
    judge_clip: str | None = None

    @classmethod
    def of(cls, recording: Recording, *, judge_reply: str | None = None, judge_clip: str | None = None) -> Evidence:
        """What is to be kept of a recording."""
        return cls(
            frame_s=recording.frame_s,
            end_of_speech_s=recording.end_of_speech_s,
            lateness_s=tuple(recording.lateness_s),
            rate_hz=recording.rate_hz,
            channels=recording.channels,
            chunks=tuple(Arrival(chunk.at_s, len(chunk.pcm), chunk.reply) for chunk in recording.chunks),
            ended_s=recording.ended_s,
            cancelled=tuple(recording.cancelled),
            cold=recording.cold,
            heard=recording.heard,
            spoken=recording.spoken,
            judge_reply=judge_reply,
            judge_clip=judge_clip,
        )

    def cut(self, pcm: bytes) -> Iterator[Chunk]:
        """The chunks of a reply whose bytes, in order, are `pcm`.

        Half a sample at the end has no place in a file of audio: it comes back as zeros, which no measure looks at.

        Raises:
            ValueError: there are more or fewer bytes than arrived, or the figures are those of no audio.
        """
        if min(self.rate_hz, self.channels, *(chunk.bytes + 1 for chunk in self.chunks)) < 1:
            raise ValueError("a rate, a number of channels or of bytes is no such thing")
        ends = [0, *accumulate(chunk.bytes for chunk in self.chunks)]
        half = ends[-1] % (2 * self.channels)
        if len(pcm) != ends[-1] - half:
            raise ValueError(f"it holds {len(pcm)} bytes of samples, and {ends[-1] - half} arrived")
        pcm += bytes(half)
        for chunk, (start, end) in zip(self.chunks, pairwise(ends), strict=True):
            yield Chunk(chunk.at_s, pcm[start:end], chunk.reply)
