"""What a conversation emits, in this order for each turn:

    SpeechStarted -> SpeechStopped -> TurnCommitted -> Transcribed
        -> ReplyStarted -> (ReplyText -> ReplyAudio...)... -> ReplyCall... -> ReplyDone

A turn in which nothing was understood ends with `TurnEmpty` in place of the reply, one whose models failed with
`TurnFailed`. A caller who speaks over a reply ends it: its `ReplyDone` comes before the `SpeechStarted` of what
interrupted it. Times are seconds on the input's sample clock: the position in the caller's audio at which the thing
happened, so that no two machines' clocks have to agree.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from pipeline.audio import FloatArray
from pipeline.languages import Language
from pipeline.lm.base import ToolCall


@dataclass(slots=True)
class Trace:
    """When each stage of a turn was through, in seconds on the input's sample clock; None where it never happened.

    Attributes:
        speech_end_s: where the detector puts the last speech.
        pause_s: the detector heard enough silence to call it a pause, or the last word dying away.
        committed_s: the turn was decided to be over.
        transcript_s: the transcript was final.
        first_token_s: the language model's first piece of text.
        first_clause_s: the first clause was complete and went to the synthesiser.
        first_sample_s: the synthesiser's first audio.
        first_sent_s: the first audio was handed to the socket (set by the server).
    """

    speech_end_s: float | None = None
    pause_s: float | None = None
    committed_s: float | None = None
    transcript_s: float | None = None
    first_token_s: float | None = None
    first_clause_s: float | None = None
    first_sample_s: float | None = None
    first_sent_s: float | None = None

    def until_reply(self) -> Trace:
        """Of the turn alone, for another reply to it."""
        return Trace(
            speech_end_s=self.speech_end_s,
            pause_s=self.pause_s,
            committed_s=self.committed_s,
            transcript_s=self.transcript_s,
        )


@dataclass(frozen=True, slots=True)
class SpeechStarted:
    """`audio_from_s` is where the audio that belongs to the turn begins: somewhat earlier."""

    turn: int
    at_s: float
    audio_from_s: float


@dataclass(frozen=True, slots=True)
class SpeechStopped:
    """The caller's speech of this turn is over; `at_s` is where it ended, not where that was noticed."""

    turn: int
    at_s: float


@dataclass(frozen=True, slots=True)
class TurnCommitted:
    """`message` is the number of its place in the history."""

    turn: int
    start_s: float
    end_s: float
    message: int


@dataclass(frozen=True, slots=True)
class IdleTimeout:
    """Nobody has spoken since the reply; an empty turn follows, and another reply. Times as of `TurnCommitted`."""

    turn: int
    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True)
class Transcribed:
    """`audio_s` is the length of the audio that was transcribed, in seconds."""

    turn: int
    text: str
    language: Language
    audio_s: float


@dataclass(frozen=True, slots=True)
class TurnEmpty:
    """No words were found in it; it is no reason for a reply."""

    turn: int


@dataclass(frozen=True, slots=True)
class TurnFailed:
    """A model failed; the conversation goes on. `reason` is fit to be shown to the caller.

    `turn` is None where the failing reply was asked for without speech; `reply` is that reply, unless it is the turn
    itself that failed.
    """

    turn: int | None
    stage: Literal["speech_to_text", "language_model", "text_to_speech"]
    reason: str
    reply: int | None = None


@dataclass(frozen=True, slots=True)
class ReplyStarted:
    """`turn` is None for a reply that was asked for without speech; `message` is its number in the history, None for
    one that is beside the conversation."""

    reply: int
    turn: int | None
    language: Language
    message: int | None


@dataclass(frozen=True, slots=True)
class ReplyText:
    """One clause, about to be spoken. The clauses of a reply, concatenated as they are, give its text."""

    reply: int
    text: str


@dataclass(frozen=True, slots=True)
class ReplyAudio:
    """A piece of the reply: float32 mono in [-1, 1], shape (samples,), 24 kHz."""

    reply: int
    samples_24k: FloatArray


@dataclass(frozen=True, slots=True)
class ReplyCall:
    """The reply asks for a function of the caller's program; `message` is its number in the history, if it is there."""

    reply: int
    call: ToolCall
    message: int | None


@dataclass(frozen=True, slots=True)
class ReplyDone:
    """The end of a reply.

    Attributes:
        cut: it reached the most tokens it may have before its end.
        text: what was handed over to be spoken.
        heard: what of it the caller had heard when this was told, guessed by the time that has passed.
    """

    reply: int
    turn: int | None
    status: Literal["completed", "cancelled", "failed"]
    text: str
    language: Language
    heard: str = ""
    cut: bool = False
    prompt_tokens: int = 0
    reply_tokens: int = 0
    trace: Trace = field(default_factory=Trace)


Event: TypeAlias = (
    SpeechStarted
    | SpeechStopped
    | TurnCommitted
    | IdleTimeout
    | Transcribed
    | TurnEmpty
    | TurnFailed
    | ReplyStarted
    | ReplyText
    | ReplyAudio
    | ReplyCall
    | ReplyDone
)
