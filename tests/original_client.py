"""The client of the original container, written anew from a description of its protocol alone.

It shares nothing with `client/`, so that no misunderstanding of ours can be on both sides of a test.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field
from types import TracebackType
from typing import Protocol, Self

RATE_HZ = 16_000
DONE = b"DONE"


class Line(Protocol):
    """A connection: of the `websockets` package, or one that is made up."""

    async def send(self, message: bytes) -> None: ...

    async def recv(self) -> bytes: ...


@dataclass
class Reply:
    """One reply, on the clock of the event loop.

    Attributes:
        frames: as they were received.
        played: what the loudspeaker gave out, in blocks, from the first of the reply to its last.
        dry_blocks: of those, how many the loudspeaker had nothing for.
        ended_s: when it had given out the last.
        done_s: when `DONE` came, which opens the microphone; None as long as it has not.
    """

    frames: list[bytes] = field(default_factory=list)
    played: bytearray = field(default_factory=bytearray)
    dry_blocks: int = 0
    ended_s: float = 0.0
    done_s: float | None = None


class OriginalClient:
    """A sound card with a microphone and a loudspeaker, which both work in blocks; use as an async context manager.

    Each block one message leaves, recorded audio or an empty one, and at most one received message is played: a shorter
    one is filled up with silence, what is longer is lost.

    Args:
        block: samples.
        phase_s: how long after the beginning the card's first block is due.
    """

    def __init__(self, line: Line, block: int, *, phase_s: float = 0.0) -> None:
        self.blocks_sent = 0
        self.late_s = 0.0
        self._line = line
        self._block = block
        self._phase_s = phase_s
        self._loop = asyncio.get_running_loop()
        self._microphone = bytearray()
        self._listening = True
        self._waiting: deque[tuple[Reply, bytes]] = deque()
        self._reply = Reply()
        self._dry = 0
        self._heard_out = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        self._tasks = [asyncio.create_task(self._run_card()), asyncio.create_task(self._receive())]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def ask(self, pcm: bytes) -> Reply:
        """Say something, and hear the reply out. What is said while one is played is not recorded."""
        assert self._listening
        self._heard_out.clear()
        self._reply = reply = Reply()
        self._microphone += pcm
        heard = asyncio.create_task(self._heard_out.wait())
        await asyncio.wait([heard, *self._tasks], return_when=asyncio.FIRST_COMPLETED)
        heard.cancel()
        for task in self._tasks:
            if task.done():
                task.result()
                raise AssertionError("the connection was closed before the reply had ended")
        return reply

    async def keep_silent(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def _run_card(self) -> None:
        start_s = self._loop.time() + self._phase_s
        while True:
            due_s = start_s + self.blocks_sent * self._block / RATE_HZ
            await asyncio.sleep(max(0.0, due_s - self._loop.time()))
            self.late_s = max(self.late_s, self._loop.time() - due_s)
            self._play_block()
            await self._line.send(self._record_block())
            self.blocks_sent += 1

    def _play_block(self) -> None:
        if not self._waiting:
            self._dry += 1
            return
        reply, message = self._waiting.popleft()
        size = 2 * self._block
        if reply.played:
            reply.dry_blocks += self._dry
            reply.played += bytes(size * self._dry)
        self._dry = 0
        reply.played += message[:size].ljust(size, b"\0")
        reply.ended_s = self._loop.time() + self._block / RATE_HZ
        self._settle(reply)

    def _record_block(self) -> bytes:
        size = 2 * self._block
        recorded = bytes(self._microphone[:size]).ljust(size, b"\0")
        del self._microphone[:size]
        return recorded if self._listening else b""

    async def _receive(self) -> None:
        while True:
            message = await self._line.recv()
            assert isinstance(message, bytes)
            if message == DONE:
                self._listening = True
                self._reply.done_s = self._loop.time()
                self._settle(self._reply)
            else:
                self._listening = False
                self._reply.frames.append(message)
                self._waiting.append((self._reply, message))

    def _settle(self, reply: Reply) -> None:
        if reply.done_s is not None and not self._waiting:
            self._heard_out.set()
