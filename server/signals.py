"""What a server does when the system tells it to leave, or to look again at its tokens."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Callable

from server.app import Server
from server.memory import kept_small, set_apart_what_stays

_log = logging.getLogger("server")


async def serve_until_signalled(
    server: Server, on_ready: Callable[[Server], None], on_stopped: Callable[[], None]
) -> None:
    """Serve until SIGTERM or SIGINT, then let the replies that are under way end; a second signal leaves at once.

    SIGHUP reads the tokens anew. Raises what entering or loading raised.

    `on_stopped` is called when every conversation is closed, before the models are let go.
    """
    signalled, again = asyncio.Event(), asyncio.Event()

    def note() -> None:
        (again if signalled.is_set() else signalled).set()

    loop = asyncio.get_running_loop()
    for signal_number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signal_number, note)
    loop.add_signal_handler(signal.SIGHUP, server.reload_tokens)
    async with kept_small(), server:
        ready = asyncio.create_task(server.ready())
        stop = asyncio.create_task(signalled.wait())
        await asyncio.wait({ready, stop}, return_when=asyncio.FIRST_COMPLETED)
        if not stop.done():
            await ready
            set_apart_what_stays()
            on_ready(server)
        await stop
        ready.cancel()
        draining = asyncio.create_task(server.drain())
        hurry = asyncio.create_task(again.wait())
        await asyncio.wait({draining, hurry}, return_when=asyncio.FIRST_COMPLETED)
        draining.cancel()
        hurry.cancel()
        await server.disconnect()
        _log.info("stopped")
        on_stopped()
