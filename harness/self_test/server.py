"""The reference server in a process of its own, so that nothing the harness does can hold it up."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from client.connection import say_nothing
from harness.own_server import own_server

PROGRAM = ("-m", "harness.reference")


@asynccontextmanager
async def reference_server() -> AsyncIterator[str]:
    """Its address, `ws://127.0.0.1:PORT`, for as long as the context lasts.

    Raises (on entering):
        UnavailableError: it did not start.
    """
    with tempfile.TemporaryDirectory(prefix="s2s-reference-") as folder:
        async with own_server(Path(folder) / "server.log", on_progress=say_nothing, program=PROGRAM) as address:
            yield address
