"""The bounded way out of a conversation."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from pipeline.events import Event


class Outbox:
    """Events on their way to one consumer. A full outbox makes the producer wait: a slow caller slows only itself."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._events: deque[Event] = deque()
        self._changed = asyncio.Condition()
        self._closed = False

    async def put(self, *events: Event) -> None:
        """Wait for room, then add all of them with nothing in between; into a closed outbox nothing goes."""
        async with self._changed:
            await self._changed.wait_for(lambda: len(self._events) < self._capacity or self._closed)
            if not self._closed:
                self._events.extend(events)
                self._changed.notify_all()

    async def get(self) -> Event | None:
        """The next event; None once the outbox is closed and empty."""
        async with self._changed:
            await self._changed.wait_for(lambda: bool(self._events) or self._closed)
            if not self._events:
                return None
            event = self._events.popleft()
            self._changed.notify_all()
            return event

    async def drop(self, unwanted: Callable[[Event], bool]) -> list[Event]:
        """Take back events that nobody has fetched yet. Returns them, newest first."""
        async with self._changed:
            dropped = [event for event in reversed(self._events) if unwanted(event)]
            self._events = deque(event for event in self._events if not unwanted(event))
            self._changed.notify_all()
            return dropped

    async def close(self) -> None:
        """No more events; what is still in it can be fetched."""
        async with self._changed:
            self._closed = True
            self._changed.notify_all()
