"""Ending work in another thread before it is through."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Stopped(Exception):  # noqa: N818 - nothing went wrong
    """The work was told to stop, and did."""


class Stop:
    """Told once, from any thread; the work looks at it between its steps, or is interrupted in the middle of one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._told = False
        self._interrupts: list[Callable[[], object]] = []

    def tell(self) -> None:
        """Stop. Interrupts what runs inside `interrupting`; to tell again changes nothing."""
        with self._lock:
            self._told = True
            interrupts, self._interrupts = self._interrupts, []
        for interrupt in interrupts:
            interrupt()

    @property
    def told(self) -> bool:
        return self._told

    def check(self) -> None:
        """Raises `Stopped` if told."""
        if self._told:
            raise Stopped

    @contextmanager
    def interrupting(self, interrupt: Callable[[], object]) -> Iterator[None]:
        """While the block runs, to be told is to have `interrupt` called, from the thread that tells.

        Raises:
            Stopped: told before; or told meanwhile, whatever the block raised then.
        """
        with self._lock:
            if not self._told:
                self._interrupts.append(interrupt)
        self.check()
        try:
            yield
        except Exception:
            self.check()
            raise
        finally:
            with self._lock:
                if interrupt in self._interrupts:
                    self._interrupts.remove(interrupt)
        self.check()
