"""Replies beside the conversation: nothing of them enters the history, and nobody interrupts them by speaking."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

from pipeline.errors import TooManyAsidesError
from pipeline.reply import Reply
from pipeline.tasks import Spawn

MOST_AT_ONCE = 4


class Asides:
    """Those of one conversation that are under way, by their numbers."""

    def __init__(self, spawn: Spawn) -> None:
        self._spawn = spawn
        self._under_way: dict[int, tuple[Reply, asyncio.Task[None]]] = {}

    def __iter__(self) -> Iterator[int]:
        return iter(self._under_way)

    def begin(self, reply: Reply) -> int:
        """Make it, and let it be heard at once; returns its number.

        Raises:
            TooManyAsidesError: as many as may be are under way.
        """
        if len(self._under_way) >= MOST_AT_ONCE:
            raise TooManyAsidesError(
                f"{MOST_AT_ONCE} replies beside the conversation are under way; wait for the end of one, or cancel it"
            )
        reply.release(None, lambda call: None)
        self._under_way[reply.request.number] = (reply, self._spawn(self._run(reply)))
        return reply.request.number

    async def cancel(self, number: int) -> None:
        """End one that is under way: nothing of it comes any more but its `ReplyDone`."""
        reply, task = self._under_way.pop(number)
        task.cancel()
        await asyncio.wait([task])
        if task.cancelled():
            await reply.withdraw()

    async def _run(self, reply: Reply) -> None:
        await reply.run()
        self._under_way.pop(reply.request.number, None)
