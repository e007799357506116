"""How late this machine wakes a process that does nothing but sleep: what no server on it can be more punctual than."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection

NAP_S = 0.005


@contextmanager
def watched_stalls() -> Iterator[list[float]]:
    """The list has one number on leaving: the longest lateness meanwhile, seconds."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    sleeper = context.Process(target=_sleep, args=(theirs,), daemon=True)
    sleeper.start()
    theirs.close()
    ours.recv()
    stalls: list[float] = []
    try:
        yield stalls
        ours.send(None)
        stalls.append(ours.recv())
    finally:
        sleeper.terminate()
        sleeper.join()


def _sleep(end: Connection) -> None:
    end.send(None)
    longest_s, before_s = 0.0, time.perf_counter()
    while not end.poll():
        time.sleep(NAP_S)
        now_s = time.perf_counter()
        longest_s = max(longest_s, now_s - before_s - NAP_S)
        before_s = now_s
    end.recv()
    end.send(longest_s)
