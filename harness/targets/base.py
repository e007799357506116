"""The one small interface by which the harness knows a server."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import Protocol

from client.connection import UnavailableError
from client.events import Failed, Heard, ReplyAudio, ReplyEnded, ServerEvent, SpeechStarted, Spoken
from client.play import Session

__all__ = [
    "Failed",
    "Heard",
    "ReplyAudio",
    "ReplyEnded",
    "ServerEvent",
    "Session",
    "SpeechStarted",
    "Spoken",
    "Target",
    "UnavailableError",
]


class Target(Protocol):
    """A server under test.

    Whatever has these five is one, without deriving from anything: docs/own-endpoint.md makes one for a server of
    another protocol. All conversations of a run are held in one event loop, one after the other.
    """

    @property
    def name(self) -> str:
        """How it is reached: `in-process`, `realtime`, `endpoint`, or the name of your own."""
        ...

    @property
    def input_rate_hz(self) -> int:
        """Of the PCM16 mono that its sessions are sent: a multiple of 50, since a frame is 20 ms."""
        ...

    @property
    def output_rate_hz(self) -> int:
        """Of the PCM16 mono that they send back. The clipping gate takes 16 and 24 kHz."""
        ...

    def connect(self, language: str) -> AbstractAsyncContextManager[Session]:
        """Open a conversation in `language` (a code, or `auto`).

        Entering raises `UnavailableError`: no conversation could be had, with the reason and the remedy.
        """
        ...

    async def describe(self) -> dict[str, str]:
        """What the server says of itself (version, profile, engines), for the report; empty where it says nothing."""
        ...
