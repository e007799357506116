"""Threads that run models, seen from the event loop.

A model blocks, so it runs in a thread of its own; and it must never delay the loop that moves audio, so its thread, and
every thread its library starts from there, runs at a lower priority.
"""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections.abc import AsyncGenerator, Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from typing import TypeVar, cast

T = TypeVar("T")

REPLIES_AT_ONCE = 4

_END = object()


class Worker:
    """One or more threads for one model; work waits its turn in the order it came."""

    def __init__(self, name: str, *, threads: int = 1, niceness: int = 5) -> None:
        step_back = partial(_step_back, niceness)
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix=name, initializer=step_back)

    async def run(self, call: Callable[[], T]) -> T:
        """Run `call` in the worker. If the caller is cancelled while it waits its turn, it is never run."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, call)

    async def stream(self, produce: Callable[[], Iterator[T]]) -> AsyncGenerator[T]:
        """Iterate over `produce()` in the worker. Closing this generator closes that iterator after its current piece.

        The worker never waits for the consumer, or a slow one would hold up everybody behind it; so what is produced in
        one go must be small (a clause, a short reply).
        """
        loop = asyncio.get_running_loop()
        pieces: asyncio.Queue[object] = asyncio.Queue()
        stopped = threading.Event()

        def work() -> None:
            try:
                # Engines are generators, and closing one is how its model is told to stop.
                with closing(cast(Generator[T], produce())) as iterator:
                    for piece in iterator:
                        if stopped.is_set():
                            return
                        loop.call_soon_threadsafe(pieces.put_nowait, piece)
            finally:
                loop.call_soon_threadsafe(pieces.put_nowait, _END)

        done = loop.run_in_executor(self._pool, work)
        try:
            while (piece := await pieces.get()) is not _END:
                yield cast(T, piece)
            await done
        finally:
            stopped.set()
            done.cancel()

    def close(self) -> None:
        """Drop what waits and wait for what runs. Blocks: call it off the loop."""
        self._pool.shutdown(wait=True, cancel_futures=True)


def _step_back(niceness: int) -> None:
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), niceness)


class Workers:
    """One worker a model, so that none waits for another; llama.cpp batches several replies by itself."""

    def __init__(self) -> None:
        self.turns = Worker("end-of-turn")
        self.hearing = Worker("speech-to-text")
        # It writes faster than its text can be spoken: what it does while the synthesiser speaks is not waited for.
        self.thinking = Worker("language-model", threads=REPLIES_AT_ONCE, niceness=15)
        self.speaking = Worker("text-to-speech")

    def close(self) -> None:
        """Blocks until what runs is through: call it off the loop."""
        for worker in (self.turns, self.hearing, self.thinking, self.speaking):
            worker.close()
