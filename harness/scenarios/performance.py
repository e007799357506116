"""What was captured when a scenario was played into a target: raw evidence, before any measure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from harness.fixtures.scenarios import Expectation
from harness.recording import Arrival, Chunk


@dataclass(frozen=True, slots=True)
class Said:
    """A line as it was played. Every `*_s` is in seconds since the stream's start, on the input's sample clock.

    Attributes:
        what: the clip's id, `silence` or `noise`.
        language: of it; `none` where nobody speaks.
        transcript: of it; empty where nobody speaks.
        treatment: what was done to it, in words; empty for nothing.
        expect: what it has to bring about.
        begun_s: its first sample; None where it was never played, because what it waits for did not come.
        speech_start_s: its first sample of speech; of a sound without speech, of the sound.
        speech_end_s: due time of the frame that holds the last one.
        ended_s: its last sample.
    """

    what: str
    language: str
    transcript: str
    treatment: str
    expect: tuple[Expectation, ...]
    begun_s: float | None = None
    speech_start_s: float | None = None
    speech_end_s: float | None = None
    ended_s: float | None = None


@dataclass(frozen=True, slots=True)
class Told:
    """A text, and when it came."""

    at_s: float
    text: str


@dataclass(frozen=True, slots=True)
class ReplyTold:
    """What the server told of one of its replies, which are numbered from 0: `Chunk.reply`.

    Attributes:
        text: that it says it spoke; empty where the protocol carries none.
        ended_s: when it said that the reply was over; None if it never did.
        cancelled: it said that it broke it off.
    """

    number: int
    text: str = ""
    ended_s: float | None = None
    cancelled: bool = False


@dataclass(frozen=True, slots=True)
class PerformanceEvidence:
    """All that a measure of behaviour takes. Every `*_s` is in seconds since the stream's start.

    Attributes:
        frame_s: length of a frame of the microphone.
        lateness_s: how late each frame left.
        rate_hz: of the replies.
        channels: of the replies.
        chunks: of the replies, as they came.
        replies: what was told of each.
        speech_started_s: each time the server told that it hears the caller speak, which stops every loudspeaker.
        heard: the server's transcripts.
        over_s: when the scenario was over.
        unsaid: why a line was not said, in words; None if all were.
    """

    frame_s: float
    lateness_s: tuple[float, ...] = ()
    rate_hz: int = 24_000
    channels: int = 1
    chunks: tuple[Arrival, ...] = ()
    replies: tuple[ReplyTold, ...] = ()
    speech_started_s: tuple[float, ...] = ()
    heard: tuple[Told, ...] = ()
    over_s: float = 0.0
    unsaid: str | None = None


@dataclass(slots=True)
class Performance:
    """One scenario played into one target.

    Attributes:
        scenario_id: of the scenario.
        language: of the scenario.
        said: its lines, as they were played.
        evidence: all of it but the audio; empty where nothing could be played.
        chunks: the audio of the replies as it came.
        microphone: what was sent: PCM16 mono at `microphone_hz`.
        microphone_hz: its rate.
        error: what went wrong, in words; None if nothing did.
    """

    scenario_id: str
    language: str
    said: list[Said]
    evidence: PerformanceEvidence
    chunks: Sequence[Chunk] = ()
    microphone: bytes = b""
    microphone_hz: int = 16_000
    error: str | None = field(default=None)
