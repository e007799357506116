"""SIGTERM while conversations are in every stage of a turn: no reply that was begun or is owed is lost."""

from __future__ import annotations

import asyncio
import base64
import json
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

SERVE = """
import asyncio
import base64
from pipeline.testing import Script, scripted_engine
from server.app import Server, ServerSettings
from server.logs import log_to_stderr
from server.signals import serve_until_signalled

script = Script(
    reply=lambda messages: "A first clause is said, and then a second one. " * 2,
    hearing_s=0.3, thinking_s=0.05, speaking_s=0.1,
)

async def load(on_loading):
    return scripted_engine(script)

log_to_stderr("text")
asyncio.run(
    serve_until_signalled(
        Server(load, ServerSettings(port=0, drain_s=120.0)),
        lambda server: print(server.port, flush=True),
        lambda: print("left in order", flush=True),
    )
)
"""
OF_EACH = 3


@asynccontextmanager
async def serving() -> AsyncIterator[tuple[int, asyncio.subprocess.Process]]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", SERVE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        yield int(await process.stdout.readline()), process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def until(websocket: ClientConnection, kind: str) -> None:
    while json.loads(await websocket.recv())["type"] != kind:
        pass


async def ask(websocket: ClientConnection, pcm: bytes) -> None:

    for start in range(0, len(pcm), 9_600):
        audio = base64.b64encode(pcm[start : start + 9_600]).decode()
        await websocket.send(json.dumps({"type": "input_audio_buffer.append", "audio": audio}))


async def send(websocket: ClientConnection, kind: str, **fields: Any) -> None:
    await websocket.send(json.dumps({"type": kind, **fields}))


async def replying(websocket: ClientConnection, pcm: bytes) -> None:
    await ask(websocket, pcm)
    await until(websocket, "response.output_audio.delta")


async def beside(websocket: ClientConnection, pcm: bytes) -> None:
    await send(websocket, "response.create", response={"conversation": "none"})
    await until(websocket, "response.created")


async def in_text(websocket: ClientConnection, pcm: bytes) -> None:
    await send(websocket, "response.create", response={"output_modalities": ["text"]})
    await until(websocket, "response.created")


async def thinking(websocket: ClientConnection, pcm: bytes) -> None:
    await ask(websocket, pcm)
    await until(websocket, "conversation.item.input_audio_transcription.completed")


async def transcribing(websocket: ClientConnection, pcm: bytes) -> None:
    await ask(websocket, pcm)
    await until(websocket, "input_audio_buffer.committed")


async def asked_before_it_is_transcribed(websocket: ClientConnection, pcm: bytes) -> None:
    """Push to talk: the client asks for the response at once."""
    await send(websocket, "session.update", session={"audio": {"input": {"turn_detection": None}}})
    await ask(websocket, pcm)
    await send(websocket, "input_audio_buffer.commit")
    await send(websocket, "response.create")
    await until(websocket, "input_audio_buffer.committed")


async def speaking(websocket: ClientConnection, pcm: bytes) -> None:
    await ask(websocket, pcm[: len(pcm) // 3])
    await until(websocket, "input_audio_buffer.speech_started")


async def idle(websocket: ClientConnection, pcm: bytes) -> None:
    await until(websocket, "session.created")


Stage = Callable[[ClientConnection, bytes], Awaitable[None]]
# The ones that last come first.
OWED: list[Stage] = [replying, beside, in_text, thinking, transcribing, asked_before_it_is_transcribed]
NOTHING_OWED: list[Stage] = [speaking, idle]


async def rest(websocket: ClientConnection) -> tuple[list[str], int | None]:
    """The status of each response that ends, and the close code."""
    statuses = []
    with pytest.raises(ConnectionClosed) as closed:
        async with asyncio.timeout(60):
            while True:
                event = json.loads(await websocket.recv())
                statuses += [event["response"]["status"]] if event["type"] == "response.done" else []
    return statuses, closed.value.rcvd.code if closed.value.rcvd else None


@pytest.mark.asyncio
async def test_no_reply_is_lost_that_was_begun_or_is_owed(question: Any) -> None:
    async with serving() as (port, process):
        url = f"ws://127.0.0.1:{port}/v1/realtime"
        stages = [stage for stage in [*OWED, *NOTHING_OWED] for _ in range(OF_EACH)]
        callers = [await connect(url, proxy=None) for _ in stages]
        binary = await connect(f"ws://127.0.0.1:{port}/ws", proxy=None)
        await binary.send(question(16_000))
        for stage, caller in zip(stages, callers, strict=True):
            await stage(caller, question(24_000))
        assert isinstance(await binary.recv(), bytes)
        process.send_signal(signal.SIGTERM)
        refused = asyncio.create_task(refusal(url))
        ends = await asyncio.gather(*map(rest, callers))
        for stage, end in zip(stages, ends, strict=True):
            assert end == (["completed"] if stage in OWED else [], 1001), stage.__name__
        frames = [frame async for frame in binary]
        assert frames[-1] == b"DONE"
        assert binary.close_code == 1001
        assert await refused == 503
        assert await process.wait() == 0


async def refusal(url: str) -> int:
    """The status by which a new caller is refused."""
    while True:
        try:
            async with connect(url, proxy=None):
                await asyncio.sleep(0.01)  # the signal is on its way
        except InvalidStatus as refused:
            return refused.response.status_code
