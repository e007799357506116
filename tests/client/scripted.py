"""A sound card, a server and a view that are scripted, for calls in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self

import numpy as np

from client.audio import FloatArray
from client.call import Call
from client.conversation import State
from client.events import Disconnected, ServerEvent
from client.sound_card import Give, Hear

RATE_HZ = 16_000
BLOCK = 320
BLOCK_S = BLOCK / RATE_HZ


def now_s() -> float:
    return asyncio.get_running_loop().time()


class ScriptedCard:
    """Calls back every 20 ms, as PortAudio does; the microphone hears a number that grows with each block.

    Attributes:
        delay_s: how long after it was given a sample sounds.
        loses: blocks after which something was lost, or the loudspeaker had to do without.
        stops_at_s: when the card is unplugged.
        played: the time and level of each block that was not silent.
        open: whether it is.
    """

    def __init__(self, *, delay_s: float = 0.0, loses: Sequence[int] = (), stops_at_s: float | None = None) -> None:
        self.microphone_hz = self.loudspeaker_hz = RATE_HZ
        self.delay_s = delay_s
        self.played: list[tuple[float, float]] = []
        self.is_open = False
        self._loses = loses
        self._stops_at_s = stops_at_s

    @contextmanager
    def open(self, hear: Hear, give: Give, lost: Callable[[str], None]) -> Iterator[None]:
        running = asyncio.create_task(self._run(hear, give, lost))
        self.is_open = True
        try:
            yield
        finally:
            self.is_open = False
            running.cancel()

    async def _run(self, hear: Hear, give: Give, lost: Callable[[str], None]) -> None:
        began_s = now_s()
        for number in range(1, 1_000_000):
            await asyncio.sleep(began_s + number * BLOCK_S - now_s())
            if self._stops_at_s is not None and now_s() >= self._stops_at_s:
                lost("unplugged")
                return
            hear(np.full(BLOCK, min(number / 32_768, 1.0), np.float32), number in self._loses)
            samples: FloatArray = give(BLOCK, self.delay_s, number in self._loses)
            if samples[-1]:
                self.played.append((now_s(), float(samples[-1])))


class ScriptedServer:
    """One session: says what its script says, so many seconds after it began, and keeps what it is sent.

    Args:
        hangs_up: says goodbye after the last event of the script.
        reads: takes what it is sent.
    """

    def __init__(
        self,
        *script: tuple[float, ServerEvent],
        full_duplex: bool = True,
        hangs_up: bool = False,
        reads: bool = True,
    ) -> None:
        self.full_duplex = full_duplex
        self.sent: list[tuple[float, bytes]] = []
        self.truncated: list[tuple[float, str, int]] = []
        self.closed = False
        self._script = script
        self._hangs_up = hangs_up
        self._reads = reads

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.closed = True

    async def send(self, pcm16: bytes) -> None:
        self.sent.append((now_s(), pcm16))
        if not self._reads:
            await asyncio.Event().wait()

    async def truncate(self, item: str, heard_ms: int) -> None:
        self.truncated.append((now_s(), item, heard_ms))

    async def events(self) -> AsyncIterator[ServerEvent]:
        began_s = now_s()
        for at_s, event in self._script:
            await asyncio.sleep(began_s + at_s - now_s())
            yield event
            if isinstance(event, Disconnected):
                return
        if not self._hangs_up:
            await asyncio.Event().wait()


class WrittenView:
    """Writes down what it is told, and when."""

    def __init__(self) -> None:
        self.told: list[tuple[float, str, Any]] = []

    def state(self, state: State) -> None:
        if not self.of("state") or self.of("state")[-1] is not state:
            self._write("state", state)

    def you_said(self, text: str) -> None:
        self._write("you", text)

    def reply_said(self, text: str) -> None:
        self._write("reply", text)

    def first_sound(self, seconds: float | None) -> None:
        self._write("first sound", seconds)

    def reply_over(self, cut_at_s: float | None) -> None:
        self._write("over", cut_at_s)

    def trouble(self, text: str) -> None:
        self._write("trouble", text)

    def note(self, text: str) -> None:
        self._write("note", text)

    def of(self, kind: str) -> list[Any]:
        return [what for _, told, what in self.told if told == kind]

    def _write(self, kind: str, what: object) -> None:
        self.told.append((now_s(), kind, what))


class Dialled:
    """A `Dial` that finds what is listed, one after the other: a server, or an error.

    Attributes:
        at_s: when it was asked.
        waits_s: how long it might have waited.
    """

    def __init__(self, *found: ScriptedServer | Exception) -> None:
        self.at_s: list[float] = []
        self.waits_s: list[float] = []
        self._found = list(found)

    def __call__(self, wait_s: float) -> ScriptedServer:
        self.at_s.append(now_s())
        self.waits_s.append(wait_s)
        found = self._found.pop(0)
        if isinstance(found, Exception):
            raise found
        return found


async def run_for(call: Call, seconds: float) -> None:
    """Let a call go on for so long, and hang up as Ctrl-C does."""
    running = asyncio.create_task(call.run())
    await asyncio.wait([running], timeout=seconds)
    if running.done():
        running.result()
        return
    running.cancel()
    await asyncio.wait([running])
    assert running.cancelled()
