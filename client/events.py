"""What a server tells a client, whichever of the two protocols it speaks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class ReplyAudio:
    """Bytes of PCM16 mono exactly as received: an odd count stays odd for whoever measures it to find."""

    pcm: bytes


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


ServerEvent: TypeAlias = ReplyAudio | Heard | Spoken | ReplyEnded | Failed
