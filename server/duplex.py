"""A websocket's two directions, side by side."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from websockets.exceptions import ConnectionClosed


async def converse(hearing: Coroutine[Any, Any, None], telling: Coroutine[Any, Any, None]) -> None:
    """Run both directions until hearing ends or the connection is closed; nothing of them is left running then."""
    try:
        async with asyncio.TaskGroup() as tasks:
            told = tasks.create_task(telling)
            await hearing
            told.cancel()
    except* ConnectionClosed:
        pass
