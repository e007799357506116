"""Ending work in another thread before it is through, or having it pause."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Stopped(Exception):  # noqa: N818 - nothing went wrong
    """The work was told to stop, and did."""


class Stop:
    """Told once, from any thread; the work looks at it between its steps, or is interrupted in the middle of one.

    Until then the work may be asked to pause, and to go on. That is a favour: what cannot pause works on.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._told = False
        self._interrupts: list[Callable[[], object]] = []
        self._paused = False
        self._watching: list[Callable[[bool], object]] = []

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

    def pause(self) -> None:
        """Do nothing more until told to go on, or to stop."""
        self._set_paused(True)

    def go_on(self) -> None:
        self._set_paused(False)

    @property
    def paused(self) -> bool:
        return self._paused and not self._told

    @contextmanager
    def pausing(self, tell: Callable[[bool], object]) -> Iterator[None]:
        """While the block runs, `tell` is told when the work is to pause, True, and when to go on, False; at once if it
        is to pause already. It is called from the thread that asks for that."""
        with self._lock:
            self._watching.append(tell)
            if self._paused:
                tell(True)
        try:
            yield
        finally:
            with self._lock:
                self._watching.remove(tell)

    def _set_paused(self, paused: bool) -> None:
        with self._lock:  # so that two that are told come in the order in which they were asked for
            if self._paused != paused:
                self._paused = paused
                for tell in self._watching:
                    tell(paused)

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
