"""Where those wait who send faster than anybody speaks, so that those who speak do not."""

from __future__ import annotations

import asyncio

_REST_S = 0.001
_BYTES_PER_S = 5e6
"""Chosen so that about a quarter of the event loop's time goes to those who wait here, whatever they send: a small
message takes 0.2 ms to serve, and a second of audio 5 ms."""


class Turnstile:
    """Lets them through one by one, in the order in which they come, and none before the last one's share of time is
    over. One for a server."""

    def __init__(self) -> None:
        self._busy = asyncio.Lock()

    async def turn(self, size: int) -> None:
        """Wait for one's turn, after `size` bytes have been served."""
        async with self._busy:
            await asyncio.sleep(_REST_S + size / _BYTES_PER_S)
