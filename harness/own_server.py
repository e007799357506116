"""A server of our own in another process, for as long as it is gated."""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from client.connection import UnavailableError
from harness.targets.health import ask_health

_LOADING_LIMIT_S = 1800.0
"""A first start pulls the weights, over whatever line there is."""
_ASK_EVERY_S = 0.5
_LEAVING_LIMIT_S = 15.0
SERVE = ("-m", "cli", "serve")
_GATED = (*SERVE, "--max-sessions", "8")
"""It is asked one turn at a time: to measure first how many conversations it can carry would only take time."""


@asynccontextmanager
async def own_server(
    log: Path, *, on_progress: Callable[[str], None], program: Sequence[str] = _GATED
) -> AsyncIterator[str]:
    """A server on a free loopback port, ready to talk; the value is its address, `ws://127.0.0.1:PORT`.

    Args:
        log: where its output goes.
        on_progress: told what it is loading.
        program: what this Python runs, `--host` and `--port` follow; `s2s serve` for few callers by default.

    Raises (on entering):
        UnavailableError: it ended, or did not become ready.
    """
    port = _free_port()
    command = [sys.executable, *program, "--host", "127.0.0.1", "--port", str(port)]
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(*command, stdout=output, stderr=output)
        try:
            url = f"ws://127.0.0.1:{port}"
            await _wait_until_ready(process, url, log, on_progress)
            yield url
        finally:
            await _end(process)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def _wait_until_ready(
    process: asyncio.subprocess.Process, url: str, log: Path, on_progress: Callable[[str], None]
) -> None:
    on_progress("starting the server")
    try:
        async with asyncio.timeout(_LOADING_LIMIT_S):
            while process.returncode is None:
                status, said = await ask_health(url)
                if status == 200:
                    return
                on_progress(f"the server is {said}" if said else "starting the server")
                await asyncio.sleep(_ASK_EVERY_S)
    except TimeoutError:
        raise UnavailableError(f"the server was not ready after {_LOADING_LIMIT_S:.0f} s; see {log}") from None
    raise UnavailableError(f"the server ended with exit code {process.returncode}: {_last_line(log)}; see {log}")


def _last_line(log: Path) -> str:
    return log.read_text(encoding="utf-8", errors="replace").strip().rpartition("\n")[2] or "it said nothing"


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is not None:
        return
    process.terminate()
    try:
        await asyncio.wait_for(process.wait(), _LEAVING_LIMIT_S)
    except TimeoutError:
        process.kill()
        await process.wait()
