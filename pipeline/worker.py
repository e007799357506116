"""What runs a model: one job at a time, the most urgent first, seen from the event loop.

A model blocks, so its jobs run in a thread. Which job is next is decided on the loop, where every conversation can
change its mind until the job begins, and stop it when it has.

A job that comes in pieces makes room, between two of them, for one that has become more urgent, and goes on later where
it was: a long clause that is ahead of its listener does not keep another caller waiting for a first sound.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import math
from collections.abc import AsyncGenerator, Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from functools import partial
from typing import Protocol, TypeVar, cast

from pipeline.stopping import Stop, Stopped

T = TypeVar("T")

MOST_WAITING = 256
"""Jobs that may wait for one model. No conversation asks for more than a few at a time."""

WHENEVER = math.inf
"""The deadline of what is worth doing only while nobody else wants the model: it gives way even when it has begun."""


class OverloadedError(RuntimeError):
    """More work is waiting for a model than it will get through."""


class Runner(Protocol):
    """Where the jobs of a worker run."""

    def start(
        self, produce: Callable[[], Iterator[object]], deliver: Callable[[object], None], stop: Stop
    ) -> asyncio.Future[None]:
        """Iterate over `produce()`, which looks at `stop`, and call `deliver` on the loop with each piece.

        Done when nothing of it runs any more.
        """
        ...

    def close(self) -> None:
        """Wait for what runs. Blocks: call it off the loop."""
        ...


class Threads:
    """A `Runner` of real threads."""

    def __init__(self, name: str, count: int) -> None:
        self._pool = ThreadPoolExecutor(count, thread_name_prefix=name)

    def start(
        self, produce: Callable[[], Iterator[object]], deliver: Callable[[object], None], stop: Stop
    ) -> asyncio.Future[None]:
        loop = asyncio.get_running_loop()

        def work() -> None:
            for piece in produce():
                loop.call_soon_threadsafe(deliver, piece)

        return loop.run_in_executor(self._pool, work)

    def close(self) -> None:
        self._pool.shutdown(wait=True)


def _as_failure(error: BaseException | None) -> Exception | None:
    """A library that means to end the process must not: the event loop would end with whatever it is raised to."""
    if error is None or isinstance(error, Exception):
        return error
    failure = RuntimeError(f"the model raised {type(error).__name__}: {error}")
    failure.__cause__ = error
    return failure


_END = object()


def _no_later(piece: object) -> float:
    return 0.0


class _Job:
    """Args: `extends`: by how many seconds a piece puts off the time at which the next one is needed."""

    def __init__(
        self,
        produce: Callable[[Stop], Iterator[object]],
        deadline_s: float,
        extends: Callable[[object], float],
        stop: Stop | None,
    ) -> None:
        self.deadline_s = deadline_s
        self.began_s = 0.0
        self.stop = stop or Stop()
        # Bounded by what one job can make: a clause of speech, a reply of a few dozen tokens.
        self.pieces: asyncio.Queue[object] = asyncio.Queue()
        self.failure: Exception | None = None
        self.over = False
        """Nothing of it is left to run; otherwise it has made room, or has not begun."""
        self._produce = produce
        self._extends = extends
        self._made: Generator[object] | None = None

    @property
    def begun(self) -> bool:
        return self._made is not None

    def iterate(self, outranked: Callable[[_Job], bool]) -> Iterator[object]:
        """The pieces, for as long as nobody tells it to stop and it is not `outranked`. Runs where the model runs."""
        if self._made is None:
            # Engines are generators, and closing one is how its model is told to stop.
            self._made = cast(Generator[object], self._produce(self.stop))
        wanted = () if self.stop.told else itertools.takewhile(lambda _: not self.stop.told, self._made)
        for piece in wanted:
            yield piece
            self.deadline_s += self._extends(piece)
            if outranked(self):
                return
        self._made.close()
        self.over = True


class Worker:
    """Runs at most `slots` jobs at once. Use from one event loop.

    Attributes:
        batch_sizes: how often a job began, or went on, as the only one that runs, as the second, and so on.
    """

    def __init__(self, runner: Runner, *, slots: int = 1) -> None:
        self._runner = runner
        self._free = slots
        self.batch_sizes = [0] * slots
        self._waiting: list[tuple[float, int, _Job]] = []
        self._most_urgent_s = math.inf
        """The deadline of the first that waits. Jobs look at it where they run; a number is read in one go."""
        self._running: set[_Job] = set()
        self._numbers = itertools.count()
        self._closed = False

    @property
    def waiting(self) -> int:
        """Jobs that are not being run."""
        return len(self._waiting)

    @property
    def running(self) -> int:
        """Jobs that have begun, and not yet ended."""
        return len(self._running)

    def longest_s(self) -> float:
        """For how long the oldest of these jobs has been running; 0 where there is none."""
        now_s = asyncio.get_running_loop().time()
        return max((now_s - job.began_s for job in self._running), default=0.0)

    async def run(self, call: Callable[[Stop], T], *, deadline_s: float) -> T:
        """The result of `call`. To cancel the caller is to stop the job, begun or not.

        Raises:
            Stopped: the job gave way: its deadline was `WHENEVER`, and somebody wanted the model.
            OverloadedError: too many are waiting.
        """

        def once(stop: Stop) -> Iterator[T]:
            yield call(stop)

        async with aclosing(self.stream(once, deadline_s=deadline_s)) as results:
            async for result in results:
                return result
        raise Stopped

    async def stream(
        self,
        produce: Callable[[Stop], Iterator[T]],
        *,
        deadline_s: float,
        extends: Callable[[T], float] = _no_later,
        stop: Stop | None = None,
    ) -> AsyncGenerator[T]:
        """The pieces of `produce`, as they come. Closing this generator stops the job, begun or not.

        The worker never waits for the consumer, or a slow one would hold up everybody behind it; so what is produced in
        one go must be small.

        Args:
            deadline_s: when the first piece is needed, on the loop's clock.
            extends: by how many seconds a piece puts off the time at which the next one is needed.
            stop: what `produce` is given; one of its own if None.

        Raises: as `run` does.
        """
        job = _Job(produce, deadline_s, cast(Callable[[object], float], extends), stop)
        self._submit(job)
        try:
            while (piece := await job.pieces.get()) is not _END:
                yield cast(T, piece)
            if job.failure is not None:
                raise job.failure
        finally:
            self._abandon(job)

    def close(self) -> None:
        """Drop what waits, stop what runs, and wait for that. Blocks: call it off the loop."""
        self._closed = True
        self._waiting.clear()
        for job in self._running:
            job.stop.tell()
        self._runner.close()

    def _submit(self, job: _Job) -> None:
        if len(self._waiting) >= MOST_WAITING:
            raise OverloadedError(f"{MOST_WAITING} jobs wait for this model; try again when fewer callers speak")
        self._queue(job)
        self._begin_next()
        if self._waiting and job.deadline_s < WHENEVER:
            giving_way = (running for running in self._running if running.deadline_s == WHENEVER)
            if (running := next(giving_way, None)) is not None:
                running.stop.tell()

    def _queue(self, job: _Job) -> None:
        heapq.heappush(self._waiting, (job.deadline_s, next(self._numbers), job))
        self._note_most_urgent()

    def _note_most_urgent(self) -> None:
        self._most_urgent_s = self._waiting[0][0] if self._waiting else math.inf

    def _outranked(self, job: _Job) -> bool:
        # What may be done whenever does not make room, it is stopped.
        return self._most_urgent_s < job.deadline_s < WHENEVER

    def _abandon(self, job: _Job) -> None:
        job.stop.tell()
        # One that has begun gets to its turn: its model is closed where it runs.
        kept = [entry for entry in self._waiting if entry[2] is not job or job.begun]
        if len(kept) < len(self._waiting):
            self._waiting = kept
            heapq.heapify(self._waiting)
            self._note_most_urgent()

    def _begin_next(self) -> None:
        while self._free and self._waiting and not self._closed:
            _, _, job = heapq.heappop(self._waiting)
            self._note_most_urgent()
            self._free -= 1
            self._running.add(job)
            self.batch_sizes[len(self._running) - 1] += 1
            job.began_s = asyncio.get_running_loop().time()
            future = self._runner.start(partial(job.iterate, self._outranked), job.pieces.put_nowait, job.stop)
            future.add_done_callback(partial(self._ended, job))

    def _ended(self, job: _Job, future: asyncio.Future[None]) -> None:
        self._free += 1
        self._running.discard(job)
        job.failure = Stopped() if future.cancelled() else _as_failure(future.exception())
        if job.failure is None and not job.over and not self._closed:
            self._queue(job)
        else:
            if job.failure is None and job.stop.told:
                job.failure = Stopped()
            job.pieces.put_nowait(_END)
        self._begin_next()
