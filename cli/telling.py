"""What a work of minutes tells on a terminal, or in the log of a machine."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import click
from rich.console import Console
from rich.status import Status


class NotDoneError(click.ClickException):
    """No verdict, and why: apart from the exit codes of the gate."""

    exit_code = 4


class Teller:
    """On a terminal one line lives while something is waited for; elsewhere each change of it is a line."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._status: Status | None = None
        self._last = ""

    def say(self, line: str) -> None:
        self.stop()
        self._console.print(line, markup=False, soft_wrap=True)

    def waiting(self, what: str, seconds: float) -> None:
        if self._console.is_terminal:
            line = f"{what} ({seconds:.0f} s)"
            if self._status is None:
                self._status = self._console.status(line)
                self._status.start()
            self._status.update(line)
        elif what != self._last:
            self._console.print(f"{what} ({seconds:.0f} s)", markup=False, soft_wrap=True)
        self._last = what

    def stop(self) -> None:
        if self._status is not None:
            self._status.stop()
            self._status = None


@contextmanager
def telling() -> Iterator[Teller]:
    """A teller on standard error, whose last line is cleared away at the end."""
    teller = Teller(Console(stderr=True, highlight=False))
    try:
        yield teller
    finally:
        teller.stop()
