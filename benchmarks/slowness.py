"""When the machine itself was slow: a guest's processors may be held back by their host, and no clock says so.

Seen on rented machines: for 30 to 90 ms at a time, everything on all processors takes seven times as long, and the
processor time of the same work too; neither steal time nor pressure shows it. Nobody is in time in such a moment.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection

import numpy as np
import numpy.typing as npt

_NAP_S = 0.005
_ROUNDS = 1_500
"""Of the work that is timed: 0.1 ms."""
_SLOW = 1.5
"""Times as long as usual; less is the caches' doing."""


@dataclass(frozen=True, slots=True)
class Slowness:
    """What was lost, by when.

    Attributes:
        at_s: by `time.monotonic`, every few ms; shape (samples,).
        lost_s: from the begin until then, of time in which the machine could have worked at its usual speed.
    """

    at_s: npt.NDArray[np.float64]
    lost_s: npt.NDArray[np.float64]

    @classmethod
    def of(cls, at_s: npt.NDArray[np.float64], took_s: npt.NDArray[np.float64]) -> Slowness:
        """From when the same work was done again and again, and how much processor time it took."""
        slowed = np.maximum(took_s / np.median(took_s), 1.0)
        lost_s = np.where(slowed > _SLOW, 1 - 1 / slowed, 0.0) * np.diff(at_s, prepend=at_s[0])
        return cls(at_s, np.cumsum(lost_s))

    @property
    def share(self) -> float:
        """Of all the time, what was lost."""
        return float(self.lost_s[-1] / (self.at_s[-1] - self.at_s[0]))

    def behind_s(self, at_s: npt.NDArray[np.float64], busy: float) -> npt.NDArray[np.float64]:
        """By how much whoever was in time before is behind at each time, for no other reason than this.

        What is lost has to be made up for, in the share of the time in which there is nothing else to do: what waits at
        a server of one queue (Lindley, The Theory of Queues with a Single Server, 1952), as a fluid.

        Args:
            busy: the share of the time in which there is something else to do, below 1.
        """
        behind_s = [0.0]
        for passed_s, lost_s in zip(np.diff(self.at_s), np.diff(self.lost_s), strict=True):
            made_up_s = (1.0 - busy) * (passed_s - lost_s)
            behind_s.append(max(0.0, behind_s[-1] + lost_s - made_up_s))
        return np.interp(at_s, self.at_s, behind_s)


@contextmanager
def watched_slowness() -> Iterator[list[Slowness]]:
    """The list has one on leaving.

    A process works a little every few ms, before everybody else where the system allows that. Only its own processor
    time counts: that others had the processor is no slowness of the machine's.
    """
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    watcher = context.Process(target=_watch, args=(theirs,), daemon=True)
    watcher.start()
    theirs.close()
    ours.recv()
    found: list[Slowness] = []
    try:
        yield found
        ours.send(None)
        found.append(Slowness.of(*ours.recv()))
    finally:
        watcher.terminate()
        watcher.join()


def _watch(end: Connection) -> None:
    if sys.platform == "linux":
        with suppress(PermissionError):
            os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(2))
    end.send(None)
    at_s, took_s = [], []
    while not end.poll():
        time.sleep(_NAP_S)
        before_s = time.thread_time()
        _work()
        took_s.append(time.thread_time() - before_s)
        at_s.append(time.monotonic())
    end.recv()
    end.send((np.array(at_s), np.array(took_s)))


def _work() -> int:
    return sum(number * number for number in range(_ROUNDS))
