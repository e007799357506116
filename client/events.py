"""What a server tells a client, whichever of the two protocols it speaks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class ReplyAudio:
    """Bytes of PCM16 mono exactly as received: an odd count stays odd for whoever measures it to find.

    `item` is the server's name for what they are a part of, if its protocol has names.
    """

    pcm: bytes
    item: str = ""


@dataclass(frozen=True, slots=True)
class SpeechStarted:
    """The server hears the caller speak, which ends any reply that is being played."""


@dataclass(frozen=True, slots=True)
class SpeechStopped:
    """The caller has stopped speaking: the last word ended `at_s` seconds into what was sent; None if untold."""

    at_s: float | None


@dataclass(frozen=True, slots=True)
class Heard:
    """The server's transcript of what was said to it."""

    text: str


@dataclass(frozen=True, slots=True)
class Spoken:
    """The text the server says it speaks; the pieces of one reply concatenate."""

    text: str


@dataclass(frozen=True, slots=True)
class ReplyEnded:
    """The reply is over: said in full, unless `cancelled`.

    `trace` is the server's account of the turn, in seconds on the input's sample clock, if it tells one.
    """

    trace: dict[str, float] | None = None
    cancelled: bool = False


@dataclass(frozen=True, slots=True)
class Failed:
    """The server reported an error, closed abnormally, or broke the protocol; `reason` is fit to be shown."""

    reason: str


@dataclass(frozen=True, slots=True)
class Disconnected(Failed):
    """The connection is gone, and not because its work was done. `again`: another one may fare better."""

    again: bool = False


ServerEvent: TypeAlias = ReplyAudio | SpeechStarted | SpeechStopped | Heard | Spoken | ReplyEnded | Failed
