"""What runs the models: order, giving way, stopping, bounds."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing, asynccontextmanager

import pytest

from pipeline.stopping import Stop, Stopped
from pipeline.worker import MOST_WAITING, WHENEVER, OverloadedError, Threads, Worker


@asynccontextmanager
async def working(slots: int = 1) -> AsyncIterator[Worker]:
    worker = Worker(Threads("test", slots), slots=slots)
    async with asyncio.timeout(10):
        yield worker
        await asyncio.to_thread(worker.close)


class Gate:
    """A job that says that it has begun, and goes on when it is let or told to stop."""

    def __init__(self) -> None:
        self.begun = threading.Event()
        self._go = threading.Event()

    def let(self) -> None:
        self._go.set()

    def __call__(self, stop: Stop) -> str:
        self.begun.set()
        with stop.interrupting(self._go.set):
            self._go.wait(10)
        return "through"

    async def has_begun(self) -> None:
        assert await asyncio.to_thread(self.begun.wait, 10)


@pytest.mark.asyncio
@pytest.mark.parametrize("fatal", [SystemExit(3), KeyboardInterrupt(), GeneratorExit()], ids=lambda e: type(e).__name__)
async def test_a_model_that_means_to_end_the_process_has_failed_and_the_next_job_is_run(fatal: BaseException) -> None:
    def leave(stop: Stop) -> None:
        raise fatal

    async with working() as worker:
        with pytest.raises(RuntimeError, match=f"the model raised {type(fatal).__name__}") as failure:
            await worker.run(leave, deadline_s=0)
        assert failure.value.__cause__ is fatal
        assert await worker.run(lambda stop: "well", deadline_s=0) == "well"


def numbers(count: int) -> Callable[[Stop], Iterator[int]]:
    return lambda stop: (number for number in range(count))


@pytest.mark.asyncio
async def test_a_stream_arrives_in_order_and_ends() -> None:
    async with working() as worker:
        assert [piece async for piece in worker.stream(numbers(50), deadline_s=0)] == list(range(50))


@pytest.mark.asyncio
async def test_an_error_in_mid_stream_reaches_the_consumer_after_what_came_before() -> None:
    def failing(stop: Stop) -> Iterator[int]:
        yield 1
        raise ValueError("the model broke")

    async with working() as worker:
        seen = []
        with pytest.raises(ValueError, match="the model broke"):
            async for piece in worker.stream(failing, deadline_s=0):
                seen.append(piece)
        assert seen == [1]
        assert await worker.run(lambda stop: "alive", deadline_s=0) == "alive"


@pytest.mark.asyncio
async def test_closing_a_stream_closes_the_model_and_frees_the_worker() -> None:
    closed = threading.Event()

    def endless(stop: Stop) -> Iterator[int]:
        try:
            while True:
                yield 0
        finally:
            closed.set()

    async with working() as worker:
        async with aclosing(worker.stream(endless, deadline_s=0)) as stream:
            assert await anext(stream) == 0
        assert await worker.run(lambda stop: "free", deadline_s=0) == "free"
        assert closed.is_set()


@pytest.mark.asyncio
async def test_the_most_urgent_goes_first_and_equals_as_they_came() -> None:
    order: list[str] = []
    async with working() as worker:
        gate = Gate()
        running = asyncio.create_task(worker.run(gate, deadline_s=0))
        await gate.has_begun()
        jobs = [
            asyncio.create_task(worker.run(lambda stop, name=name: order.append(name), deadline_s=deadline_s))
            for name, deadline_s in (("late", 9.0), ("whenever", WHENEVER), ("soon", 1.0), ("soon too", 1.0))
        ]
        await asyncio.sleep(0)
        assert worker.waiting == 4
        gate.let()
        await asyncio.gather(running, *jobs)
    assert order == ["soon", "soon too", "late", "whenever"]


@pytest.mark.asyncio
async def test_what_may_be_done_whenever_gives_way_to_what_is_urgent() -> None:
    async with working() as worker:
        gate = Gate()
        background = asyncio.create_task(worker.run(gate, deadline_s=WHENEVER))
        await gate.has_begun()
        assert await worker.run(lambda stop: "urgent", deadline_s=5.0) == "urgent"
        with pytest.raises(Stopped):
            await background


@pytest.mark.asyncio
async def test_what_is_urgent_is_not_stopped_by_what_is_more_so() -> None:
    async with working() as worker:
        gate = Gate()
        first = asyncio.create_task(worker.run(gate, deadline_s=9.0))
        await gate.has_begun()
        second = asyncio.create_task(worker.run(lambda stop: "second", deadline_s=1.0))
        await asyncio.sleep(0)
        gate.let()
        assert await first == "through"
        assert await second == "second"


class Reading:
    """A job of many pieces, each of which waits for one `let`; it tells in `order` what it makes, and when it ends."""

    def __init__(self, name: str, count: int, order: list[str]) -> None:
        self._name, self._count, self._order = name, count, order
        self._go = threading.Semaphore(0)
        self._at_work = threading.Semaphore(0)

    def let(self) -> None:
        self._go.release()

    async def is_at_work(self, piece: int) -> None:
        """The pieces are counted from 1."""
        for _ in range(piece):
            assert await asyncio.to_thread(self._at_work.acquire, timeout=10)

    def __call__(self, stop: Stop) -> Iterator[float]:
        try:
            for number in range(self._count):
                self._at_work.release()
                with stop.interrupting(self._go.release):
                    self._go.acquire(timeout=10)
                self._order.append(f"{self._name} {number}")
                yield 1.0
        finally:
            self._order.append(f"{self._name} closed")


def seconds(piece: float) -> float:
    return piece


@pytest.mark.asyncio
async def test_between_two_pieces_a_job_makes_room_for_a_more_urgent_one_and_then_goes_on_where_it_was() -> None:
    order: list[str] = []
    async with working() as worker:
        long = Reading("long", 3, order)
        async with aclosing(worker.stream(long, deadline_s=5.0, extends=seconds)) as pieces:
            long.let()
            await anext(pieces)
            await long.is_at_work(2)
            urgent = asyncio.create_task(worker.run(lambda stop: order.append("urgent"), deadline_s=1.0))
            await asyncio.sleep(0)
            long.let()
            await urgent
            long.let()
            assert [piece async for piece in pieces] == [1.0, 1.0]
    assert order == ["long 0", "long 1", "urgent", "long 2", "long closed"]


@pytest.mark.asyncio
async def test_each_piece_puts_off_when_the_next_is_needed_so_that_two_of_equal_urgency_take_turns() -> None:
    order: list[str] = []
    async with working() as worker:
        gate = Gate()
        running = asyncio.create_task(worker.run(gate, deadline_s=0))
        await gate.has_begun()

        async def consume(name: str, deadline_s: float) -> None:
            reading = Reading(name, 3, order)
            for _ in range(3):
                reading.let()
            async for _ in worker.stream(reading, deadline_s=deadline_s, extends=seconds):
                pass

        consumers = [asyncio.create_task(consume("a", 1.0)), asyncio.create_task(consume("b", 1.5))]
        await asyncio.sleep(0)
        gate.let()
        await asyncio.gather(running, *consumers)
    assert order == ["a 0", "b 0", "a 1", "b 1", "a 2", "b 2", "a closed", "b closed"]


@pytest.mark.asyncio
async def test_a_job_that_made_room_and_is_not_wanted_any_more_is_closed_where_it_ran() -> None:
    order: list[str] = []
    gate = Gate()
    async with working() as worker:
        long = Reading("long", 3, order)
        async with aclosing(worker.stream(long, deadline_s=5.0)) as pieces:
            long.let()
            await anext(pieces)
            await long.is_at_work(2)
            urgent = asyncio.create_task(worker.run(gate, deadline_s=1.0))
            await asyncio.sleep(0)
            long.let()
            await gate.has_begun()
        gate.let()
        await urgent
        assert await worker.run(lambda stop: "free", deadline_s=9.0) == "free"
    assert order == ["long 0", "long 1", "long closed"]


@pytest.mark.asyncio
async def test_a_cancelled_caller_takes_its_job_out_of_the_queue_or_stops_it() -> None:
    begun: list[int] = []
    async with working() as worker:
        gate = Gate()
        running = asyncio.create_task(worker.run(gate, deadline_s=0))
        await gate.has_begun()
        waiting = asyncio.create_task(worker.run(lambda stop: begun.append(1), deadline_s=0))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.wait([waiting])
        assert worker.waiting == 0
        running.cancel()  # the gate is never let: only being told to stop ends it
        assert await worker.run(lambda stop: "free", deadline_s=0) == "free"
    assert begun == []


@pytest.mark.asyncio
async def test_two_slots_run_two_jobs_and_the_third_waits() -> None:
    async with working(slots=2) as worker:
        gates = [Gate(), Gate()]
        running = [asyncio.create_task(worker.run(gate, deadline_s=0)) for gate in gates]
        for gate in gates:
            await gate.has_begun()
        third = asyncio.create_task(worker.run(lambda stop: "third", deadline_s=0))
        await asyncio.sleep(0)
        assert worker.waiting == 1
        for gate in gates:
            gate.let()
        await asyncio.gather(*running)
        assert await third == "third"


@pytest.mark.asyncio
async def test_the_queue_is_bounded() -> None:
    async with working() as worker:
        gate = Gate()
        jobs = [asyncio.create_task(worker.run(gate, deadline_s=0))]
        await gate.has_begun()
        jobs += [asyncio.create_task(worker.run(lambda stop: None, deadline_s=0)) for _ in range(MOST_WAITING)]
        await asyncio.sleep(0)
        with pytest.raises(OverloadedError, match="fewer callers"):
            await worker.run(lambda stop: None, deadline_s=0)
        gate.let()
        await asyncio.gather(*jobs)


@pytest.mark.asyncio
async def test_closing_stops_what_runs() -> None:
    worker = Worker(Threads("test", 1))
    gate = Gate()
    running = asyncio.create_task(worker.run(gate, deadline_s=0))
    await gate.has_begun()
    await asyncio.to_thread(worker.close)
    with pytest.raises(Stopped):
        await running
