"""What a server process keeps of what conversations leave behind."""

from __future__ import annotations

import ctypes
import subprocess
import sys

import pytest

HOLD_AND_LET_GO = """
import sys
import threading
import numpy as np
import psutil
from server.memory import give_back_what_is_free

def held_mb():
    return psutil.Process().memory_info().rss / 2**20

def hold(block_bytes):
    blocks = [np.ones(block_bytes, np.uint8) for _ in range(6 * 2**20 // block_bytes)]
    together.wait()
    del blocks

if sys.argv[1] == "told":
    give_back_what_is_free()
np.ones(30 * 2**20, np.uint8)  # as a model is that was just loaded
together = threading.Barrier(8)
before_mb = held_mb()
threads = [threading.Thread(target=hold, args=(block_bytes,)) for block_bytes in 4 * (30_000, 600_000)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(held_mb() - before_mb)
"""


def left_mb(how: str) -> float:
    ran = subprocess.run([sys.executable, "-c", HOLD_AND_LET_GO, how], capture_output=True, check=True, text=True)
    return float(ran.stdout)


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallopt"), reason="this C library has no settings for its memory")
def test_what_was_let_go_is_given_back_to_the_system() -> None:
    """48 MB are held in 8 threads, as by as many conversations, and let go."""
    assert left_mb("told") < 5
    assert left_mb("not told") > 20
