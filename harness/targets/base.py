"""The one small interface by which the harness knows a server."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol, TypeAlias


@dataclass(frozen=True, slots=True)
class ReplyAudio:
    """Bytes of PCM16 as received, untouched: an odd count stays odd for the measures to find."""

    pcm: bytes


@dataclass(frozen=True, slots=True)
class Heard:
    """The server's transcript of what was said to it."""

    text: str


@dataclass(frozen=True, slots=True)
class Spoken:
    """The text the server says it speaks; pieces of one reply concatenate."""

    text: str


@dataclass(frozen=True, slots=True)
class ReplyEnded:
    """The reply is over. `trace` is the server's account of the turn on the input's sample clock, if it tells one."""

    trace: dict[str, float] | None = None


@dataclass(frozen=True, slots=True)
class Failed:
    """The server refused, closed or broke the protocol."""

    reason: str


TargetEvent: TypeAlias = ReplyAudio | Heard | Spoken | ReplyEnded | Failed


class Session(Protocol):
    """One conversation with the server under test."""

    async def send(self, pcm16: bytes) -> None:
        """Send one frame of the microphone: PCM16 mono at the target's `input_rate_hz`."""
        ...

    def events(self) -> AsyncIterator[TargetEvent]:
        """What comes back, as it arrives; ends when the server closes."""
        ...


class Target(Protocol):
    """A server under test."""

    name: str
    input_rate_hz: int
    output_rate_hz: int

    def connect(self, language: str) -> AbstractAsyncContextManager[Session]:
        """Open a conversation in `language` (a code, or `auto`).

        Raises:
            TargetUnavailable: no conversation could be had, with the reason and the remedy.
        """
        ...

    async def describe(self) -> dict[str, str]:
        """What the server says of itself (version, profile, engines), for the report; empty where it says nothing."""
        ...


class TargetUnavailable(ConnectionError):
    """The server under test cannot be reached, is not ready, or refused."""
