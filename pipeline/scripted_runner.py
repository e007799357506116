"""Where scripted models run: on the event loop, in its time, which a test may have made virtual."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import suppress

from pipeline.stopping import Stop, Stopped


class Pace:
    """How long what a scripted model does is to take; the model says it, its runner waits for it."""

    def __init__(self) -> None:
        self._owed_s = 0.0

    def take(self, seconds: float) -> None:
        self._owed_s += seconds

    def settle(self) -> float:
        owed_s, self._owed_s = self._owed_s, 0.0
        return owed_s


class OnTheLoop:
    """A `Runner` without threads."""

    def __init__(self, pace: Pace) -> None:
        self._pace = pace

    def start(
        self, produce: Callable[[], Iterator[object]], deliver: Callable[[object], None], stop: Stop
    ) -> asyncio.Future[None]:
        return asyncio.get_running_loop().create_task(self._work(produce, deliver, stop))

    async def _work(
        self, produce: Callable[[], Iterator[object]], deliver: Callable[[object], None], stop: Stop
    ) -> None:
        pieces = produce()
        while True:
            await _paused(stop)
            failure: Exception | None = None
            piece: object = None
            try:
                piece = next(pieces)
            except Exception as error:
                failure = error
            await _wait(self._pace.settle(), stop)
            if isinstance(failure, StopIteration):
                return
            if failure is not None:
                raise failure
            deliver(piece)

    def close(self) -> None:
        """Nothing of it outlives the loop."""


async def _paused(stop: Stop) -> None:
    if not stop.paused:
        return
    goes_on = asyncio.Event()

    def tell(paused: bool) -> None:
        if not paused:
            goes_on.set()

    with suppress(Stopped), stop.interrupting(goes_on.set), stop.pausing(tell):
        if stop.paused:
            await goes_on.wait()


async def _wait(seconds: float, stop: Stop) -> None:
    told = asyncio.Event()
    with stop.interrupting(told.set), suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await told.wait()
