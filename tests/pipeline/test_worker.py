"""Model threads, seen from the loop."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import aclosing

import pytest

from pipeline.worker import Worker


@pytest.mark.asyncio
async def test_a_stream_arrives_in_order_and_ends() -> None:
    worker = Worker("test")
    assert [piece async for piece in worker.stream(lambda: (n for n in range(50)))] == list(range(50))
    worker.close()


@pytest.mark.asyncio
async def test_an_error_in_mid_stream_reaches_the_consumer_after_what_came_before() -> None:
    def failing() -> Iterator[int]:
        yield 1
        raise ValueError("the model broke")

    worker = Worker("test")
    seen = []
    with pytest.raises(ValueError, match="the model broke"):
        async for piece in worker.stream(failing):
            seen.append(piece)
    assert seen == [1]
    worker.close()


@pytest.mark.asyncio
async def test_closing_a_stream_closes_the_model_and_frees_the_worker() -> None:
    closed = threading.Event()
    stepping = threading.Semaphore(1)

    def endless() -> Iterator[int]:
        try:
            while True:
                stepping.acquire()
                yield 0
        finally:
            closed.set()

    worker = Worker("test")
    async with aclosing(worker.stream(endless)) as stream:
        assert await anext(stream) == 0
    stepping.release()
    assert await worker.run(lambda: "free") == "free"
    assert closed.is_set()
    worker.close()


@pytest.mark.asyncio
async def test_work_that_is_cancelled_while_it_waits_is_never_run() -> None:
    worker = Worker("test")
    release = threading.Event()
    ran = []
    busy = asyncio.create_task(worker.run(release.wait))
    waiting = asyncio.create_task(worker.run(lambda: ran.append(True)))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait([waiting])
    release.set()
    await busy
    assert await worker.run(lambda: "after") == "after"
    assert ran == []
    worker.close()


@pytest.mark.skipif(sys.platform != "linux", reason="a thread has a priority of its own on Linux only")
@pytest.mark.asyncio
async def test_models_run_at_a_lower_priority_than_the_loop() -> None:
    worker = Worker("test")
    niceness = await worker.run(lambda: os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))
    assert niceness > os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
    worker.close()
