"""Showing a person that a pull is alive."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn, TransferSpeedColumn


class Display(Protocol):
    """What the store tells while it works."""

    def say(self, line: str) -> None:
        """Something that happened, worth keeping in a log."""

    def show(self, label: str, done: int, total: int) -> None:
        """A download under way: bytes so far, and bytes expected."""


class _Terminal:
    def __init__(self, bars: Progress) -> None:
        self._bars = bars
        self._tasks: dict[str, TaskID] = {}

    def say(self, line: str) -> None:
        self._bars.console.print(line, markup=False, highlight=False, soft_wrap=True)

    def show(self, label: str, done: int, total: int) -> None:
        if label not in self._tasks:
            self._tasks[label] = self._bars.add_task(label, total=total)
        self._bars.update(self._tasks[label], completed=min(done, total))


@contextmanager
def on_terminal() -> Iterator[Display]:
    """Bars and lines on standard error; lines alone where that is no terminal."""
    console = Console(stderr=True)
    columns = (TextColumn("  {task.description}", markup=False), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bars:
        yield _Terminal(bars)
