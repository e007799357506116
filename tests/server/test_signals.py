"""A server process that is told to leave, or to look again at its tokens."""

from __future__ import annotations

import asyncio
import ctypes
import json
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

SERVE_SCRIPTED = """
import asyncio
import sys
from pathlib import Path
from pipeline.testing import Script, scripted_engine
from server.app import Server, ServerSettings
from server.logs import log_to_stderr
from server.signals import serve_until_signalled
from server.tokens import Tokens

REPLY = "This is said in one breath, and it takes a while to say."
drain_s, THEN, token_file = float(sys.argv[1]), sys.argv[2], Path(sys.argv[3]) if len(sys.argv) > 3 else None

async def load(on_loading):
    return scripted_engine(Script(reply=lambda messages: REPLY))

log_to_stderr("text")
asyncio.run(
    serve_until_signalled(
        Server(load, ServerSettings(port=0, drain_s=drain_s, tokens=Tokens(file=token_file))),
        lambda server: (print(server.port, flush=True), exec(THEN)),
        lambda: print("left in order", flush=True),
    )
)
"""
REPLY_S = 0.05 * 56


@dataclass(frozen=True)
class Process:
    port: int
    process: asyncio.subprocess.Process

    def connect(self, path: str, **settings: Any) -> connect:
        return connect(f"ws://127.0.0.1:{self.port}{path}", proxy=None, **settings)

    async def get(self, path: str) -> httpx.Response:
        async with httpx.AsyncClient() as client:
            return await client.get(f"http://127.0.0.1:{self.port}{path}")

    async def until_logged(self, words: str) -> None:
        assert self.process.stderr is not None
        async with asyncio.timeout(20):
            while words not in (await self.process.stderr.readline()).decode():
                pass

    async def left(self) -> bool:
        assert self.process.stdout is not None
        async with asyncio.timeout(20):
            said = await self.process.stdout.read()
            return said == b"left in order\n" and await self.process.wait() == 0


@asynccontextmanager
async def serving(drain_s: float, token_file: Path | None = None, *, then: str = "") -> AsyncIterator[Process]:
    arguments = [str(drain_s), then, *([str(token_file)] if token_file else [])]
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", SERVE_SCRIPTED, *arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        yield Process(int(await process.stdout.readline()), process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def begun(websocket: ClientConnection, question: bytes | None) -> None:
    """Have a reply begun on this connection, and its first audio sent."""
    if question is not None:
        for start in range(0, len(question), 1024):
            await websocket.send(question[start : start + 1024])
        assert isinstance(await websocket.recv(), bytes)
        return
    await websocket.send('{"type": "response.create"}')
    while json.loads(await websocket.recv())["type"] != "response.output_audio.delta":
        pass


async def rest(websocket: ClientConnection) -> tuple[list[str | bytes], int | None]:
    """What else comes, and the close code."""
    came = []
    with pytest.raises(ConnectionClosed) as closed:
        async with asyncio.timeout(20):
            while True:
                came.append(await websocket.recv())
    return came, closed.value.rcvd.code if closed.value.rcvd else None


@pytest.mark.asyncio
async def test_a_reply_under_way_is_not_lost_and_nobody_new_is_taken(question: Any) -> None:
    async with (
        serving(drain_s=60.0) as server,
        server.connect("/v1/realtime") as realtime,
        server.connect("/ws") as binary,
        server.connect("/v1/realtime") as idle,
    ):
        await asyncio.gather(begun(realtime, None), begun(binary, question(16_000)))
        server.process.send_signal(signal.SIGTERM)
        await server.until_logged("draining: 3 conversations")
        assert (await rest(idle))[1] == 1001
        while (ready := await server.get("/ready")).json()["sessions"] > 2:
            pass
        assert (ready.status_code, ready.json()["state"], ready.json()["sessions"]) == (503, "draining", 2)
        assert "leaving" in ready.json()["why"]
        assert int(ready.headers["Retry-After"]) > 0
        assert (await server.get("/health")).status_code == 200
        with pytest.raises(InvalidStatus) as refused:
            await server.connect("/ws").__aenter__()
        assert refused.value.response.status_code == 503
        assert "Retry-After" in refused.value.response.headers
        (events, code), (frames, binary_code) = await asyncio.gather(rest(realtime), rest(binary))
        assert (code, binary_code) == (1001, 1001)
        assert json.loads(events[-1])["response"]["status"] == "completed"
        assert frames[-1] == b"DONE"
        assert sum(map(len, frames)) / 32_000 == pytest.approx(REPLY_S, abs=0.1)
        assert await server.left()


@pytest.mark.asyncio
async def test_a_reply_that_takes_too_long_is_cut() -> None:
    async with serving(drain_s=0.1) as server, server.connect("/v1/realtime") as websocket:
        await begun(websocket, None)
        server.process.send_signal(signal.SIGTERM)
        events, code = await rest(websocket)
        assert code == 1001
        assert "response.done" not in [json.loads(event)["type"] for event in events]
        await server.until_logged("had not ended their replies")
        assert await server.left()


@pytest.mark.asyncio
async def test_a_second_signal_leaves_at_once() -> None:
    async with serving(drain_s=600.0) as server, server.connect("/v1/realtime") as websocket:
        await begun(websocket, None)
        server.process.send_signal(signal.SIGTERM)
        await server.until_logged("draining")
        server.process.send_signal(signal.SIGINT)
        events, code = await rest(websocket)
        assert code == 1001
        assert "response.done" not in [json.loads(event)["type"] for event in events]
        assert await server.left()


@pytest.mark.asyncio
async def test_sighup_reads_the_tokens_anew(tmp_path: Path) -> None:
    file = tmp_path / "tokens"
    file.write_text("old-secret")
    headers = {"Authorization": "Bearer new-secret"}
    async with serving(1.0, file) as server:
        with pytest.raises(InvalidStatus):
            await server.connect("/ws", additional_headers=headers).__aenter__()
        file.write_text("new-secret")
        server.process.send_signal(signal.SIGHUP)
        await server.until_logged("read anew; listed: 1")
        async with server.connect("/ws", additional_headers=headers):
            pass
        server.process.send_signal(signal.SIGTERM)
        assert await server.left()


@pytest.mark.asyncio
async def test_what_stays_is_not_looked_through_for_garbage_again() -> None:
    async with serving(drain_s=1.0, then="import gc; print(gc.get_freeze_count(), flush=True)") as server:
        assert server.process.stdout is not None
        assert int(await server.process.stdout.readline()) > 10_000
        server.process.send_signal(signal.SIGTERM)
        assert await server.left()


HOLD_AND_LET_GO = """
import numpy
import psutil

process = psutil.Process()
numpy.ones(30 * 2**20, numpy.uint8)  # as a model is that was just loaded
before = process.memory_info().rss
blocks = list(map(numpy.ones, 80 * [75_000]))
del blocks
print((process.memory_info().rss - before) / 2**20, flush=True)
"""


@pytest.mark.asyncio
@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallopt"), reason="this C library cannot be told what to give back")
async def test_what_is_let_go_is_given_back_to_the_system() -> None:
    """Of 46 MB."""
    async with serving(drain_s=1.0, then=HOLD_AND_LET_GO) as server:
        assert server.process.stdout is not None
        assert float(await server.process.stdout.readline()) < 5
        server.process.send_signal(signal.SIGTERM)
        assert await server.left()


WATCH_FOR_GARBAGE = """
import gc

def note(phase, about, gc=gc):
    if phase == "start" and about["generation"] == 2 and len(gc.get_objects()) > 20_000:
        print("much to look through", flush=True)

gc.callbacks.append(note)
"""


@pytest.mark.asyncio
async def test_what_is_over_is_looked_through_before_it_is_much() -> None:
    """20,000 objects are looked through in 10 ms, in which nobody is served."""
    async with serving(drain_s=1.0, then=WATCH_FOR_GARBAGE) as server:
        for _ in range(600):
            async with server.connect("/v1/realtime") as websocket:
                await websocket.recv()
        server.process.send_signal(signal.SIGTERM)
        assert await server.left()
