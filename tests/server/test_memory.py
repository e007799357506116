"""What a server process keeps of what conversations leave behind."""

from __future__ import annotations

import ctypes
import subprocess
import sys

import pytest

from server.memory import kept_small

pytestmark = pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "malloc_trim"), reason="not the GNU C library")

LEFT_BY_THREADS = """
import asyncio
import sys
import threading
import time
import numpy as np
import psutil
from server.memory import kept_small

def held_mb():
    return psutil.Process().memory_info().rss / 2**20

def hold(block_bytes):
    together.wait()  # what a thread that is being started needs lies below the blocks of all
    blocks = [np.ones(block_bytes, np.uint8) for _ in range(6 * 2**20 // block_bytes)]
    together.wait()
    del blocks

def hold_and_let_go():
    threads = [threading.Thread(target=hold, args=(block_bytes,)) for block_bytes in 4 * (30_000, 600_000)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    while psutil.Process().num_threads() > threads_before:  # Python's have ended; what the system's hold is still held
        time.sleep(0.01)
    np.ones(100_000, np.uint8)  # the end of the heap is looked at whenever a block of some size is let go

async def keep_small():
    async with kept_small():
        hold_and_let_go()

np.ones(30 * 2**20, np.uint8)  # as a model is that was just loaded
together = threading.Barrier(8)
before_mb, threads_before = held_mb(), psutil.Process().num_threads()
asyncio.run(keep_small()) if sys.argv[1] == "kept small" else hold_and_let_go()
print(held_mb() - before_mb)
"""

LEFT_BETWEEN_OTHERS = """
import asyncio
import sys
import numpy as np
import psutil
from server import memory

def held_mb():
    return psutil.Process().memory_info().rss / 2**20

async def leave_every_second():
    memory._EVERY_S = float(sys.argv[1])
    async with memory.kept_small():
        await asyncio.sleep(0)
        before_mb = held_mb()
        blocks = [np.ones(30_000, np.uint8) for _ in range(2_000)]
        del blocks[::2]
        await asyncio.sleep(0.2)
        print(held_mb() - before_mb)

asyncio.run(leave_every_second())
"""


def left_mb(program: str, how: str) -> float:
    ran = subprocess.run([sys.executable, "-c", program, how], capture_output=True, check=True, text=True)
    return float(ran.stdout)


def test_what_was_let_go_is_given_back_to_the_system() -> None:
    """48 MB are held in 8 threads, as by as many conversations, and let go."""
    assert left_mb(LEFT_BY_THREADS, "kept small") < 5
    assert left_mb(LEFT_BY_THREADS, "as it comes") > 20


def test_pages_between_what_is_still_held_are_given_back_too() -> None:
    """Of 57 MB half is still held."""
    often_s, not_yet_s = "0.05", "60"
    assert left_mb(LEFT_BETWEEN_OTHERS, often_s) < 40
    assert left_mb(LEFT_BETWEEN_OTHERS, not_yet_s) > 50


@pytest.mark.asyncio
async def test_another_c_library_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda name: object())
    async with kept_small():
        pass
