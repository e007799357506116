"""What a conversation does at the same time, and its end."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from types import TracebackType
from typing import Any, Protocol, Self, TypeVar

T = TypeVar("T")


class Spawn(Protocol):
    """Starts a task of the conversation, which is cancelled when the conversation is left."""

    def __call__(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]: ...


class Tasks:
    """Use as an async context manager: leaving it waits for the end of them all, which `cancel` brings about.

    Attributes:
        cancelled: what arrives just now begins nothing any more.
    """

    def __init__(self) -> None:
        self.cancelled = False
        self._group = asyncio.TaskGroup()
        self._running: set[asyncio.Task[Any]] = set()

    async def __aenter__(self) -> Self:
        await self._group.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._group.__aexit__(kind, error, traceback)

    def spawn(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """See `Spawn`."""
        task = self._group.create_task(work)
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return task

    def cancel(self) -> None:
        self.cancelled = True
        for task in list(self._running):
            task.cancel()
