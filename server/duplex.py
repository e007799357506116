"""A websocket's two directions, side by side."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

SEND_LIMIT_S = 30.0
"""A client that has taken nothing for this long is gone, or might as well be."""


class SlowClientError(ConnectionError):
    """The client stopped reading."""


async def send(websocket: ServerConnection, message: str | bytes) -> None:
    """Send, waiting for a slow reader, which slows nobody but itself.

    Raises:
        ConnectionClosed: the client has left.
        SlowClientError: it took nothing for `SEND_LIMIT_S`; the connection is cut.
    """
    try:
        async with asyncio.timeout(SEND_LIMIT_S):
            await websocket.send(message)
    except TimeoutError:
        websocket.transport.abort()
        raise SlowClientError(f"the client took nothing for {SEND_LIMIT_S:.0f} s; the connection is cut") from None


async def converse(hearing: Coroutine[Any, Any, None], telling: Coroutine[Any, Any, None]) -> None:
    """Run both directions until hearing ends or the connection is closed; nothing of them is left running then."""
    try:
        async with asyncio.TaskGroup() as tasks:
            told = tasks.create_task(telling)
            await hearing
            told.cancel()
    except* ConnectionClosed:
        pass
