"""`leaks`: what is left over of conversations that are over."""

from __future__ import annotations

import asyncio
import base64
import gc
import json
import random
import socket
import struct
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

import click
import numpy as np
import psutil
import soxr
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from benchmarks.bars import Bar, settle
from benchmarks.callers import progress
from benchmarks.processes import memory_mb
from client.audio import to_pcm16
from client.play import FRAME_S
from harness import fixtures
from pipeline.engine import Engine
from pipeline.profiles import load_profile
from pipeline.testing import Script, scripted_engine
from pipeline.weights import WeightStore
from server.app import Server, ServerSettings
from server.limits import Limits
from server.memory import kept_small, set_apart_what_stays

GROWTH_LIMIT_MB = 20.0
SETTLED_AFTER = 50
"""Conversations until caches and pools have what they will hold."""
AT_ONCE = 8
RATE_HZ = 16_000
REALTIME_RATE_HZ = 24_000
SILENCE_S = 3


@dataclass(frozen=True, slots=True)
class _Held:
    memory_mb: dict[str, float]
    """Of each process."""
    threads: int
    files: int
    tasks: int


@click.command()
@click.option("--conversations", default=500, show_default=True, type=click.IntRange(SETTLED_AFTER + 1))
@click.option(
    "--models",
    type=click.Choice(["scripted", "embedded"]),
    default="scripted",
    show_default=True,
    help="Scripted ones take 3 minutes for 500, the embedded ones 7 to 20.",
)
def leaks(conversations: int, models: str) -> None:
    """Memory, threads, files and tasks left over when conversations are over.

    Server and callers in this process, 8 conversations at a time. Each asks a question; then it is closed before the
    end, or after the reply, or its connection is reset in the middle of one or the other, by lot.
    """
    settled, after = asyncio.run(_hold(conversations, models))
    growth_mb = {name: held_mb - settled.memory_mb[name] for name, held_mb in after.memory_mb.items()}
    settle(
        f"Left over of {conversations - SETTLED_AFTER} conversations, after the first {SETTLED_AFTER}",
        [
            Bar("memory", sum(growth_mb.values()), "MB", GROWTH_LIMIT_MB),
            *(Bar(f"of it, {name}", grown_mb, "MB") for name, grown_mb in growth_mb.items()),
            Bar("threads", after.threads - settled.threads, "", 0),
            Bar("files and sockets", after.files - settled.files, "", 0),
            Bar("tasks", after.tasks - settled.tasks, "", 0),
            Bar("memory of all processes", sum(after.memory_mb.values()), "MB"),
        ],
    )


async def _hold(conversations: int, models: str) -> tuple[_Held, _Held]:
    async def load(on_loading: Callable[[str], None]) -> Engine:
        if models == "scripted":
            return scripted_engine(Script())
        return await Engine.load(load_profile("embedded"), WeightStore(), on_loading=on_loading)

    lot = random.Random(0)  # noqa: S311 -- no secret
    frames = _frames()
    with progress() as bar:
        todo = bar.add_task("conversations", total=conversations)
        server = Server(load, ServerSettings(port=0, limits=Limits(sessions=2 * AT_ONCE)))
        async with kept_small(), server:  # as `s2s serve`
            await server.ready()
            set_apart_what_stays()
            address = f"ws://127.0.0.1:{server.port}"
            room = asyncio.Semaphore(AT_ONCE)

            async def one() -> None:
                async with room:
                    await _converse(address, frames, lot)
                    bar.advance(todo)

            async def hold(count: int) -> _Held:
                await asyncio.gather(*(one() for _ in range(count)))
                while server.sessions:  # noqa: ASYNC110 -- a server does not tell when the last one is gone
                    await asyncio.sleep(0.05)
                return await _held()

            return await hold(SETTLED_AFTER), await hold(conversations - SETTLED_AFTER)


async def _held() -> _Held:
    await asyncio.sleep(1.0)  # sockets take a moment to close
    gc.collect()
    this = psutil.Process()
    # The models have processes of their own, which are told their names last.
    processes = {"server and callers": this, **{process.cmdline()[-1]: process for process in this.children()}}
    return _Held(
        {name: memory_mb(process) for name, process in processes.items()},
        sum(process.num_threads() for process in processes.values()),
        sum(process.num_fds() for process in processes.values()),
        len(asyncio.all_tasks()),
    )


def _frames() -> dict[str, list[str | bytes]]:
    """A question and the silence after it, as the messages of each route."""
    clip = fixtures.available("synthetic", ("en",), 1)[0]
    question = np.pad(fixtures.read(clip, RATE_HZ), (0, SILENCE_S * RATE_HZ))
    endpoint = _cut(to_pcm16(question), RATE_HZ)
    realtime = _cut(to_pcm16(soxr.resample(question, RATE_HZ, REALTIME_RATE_HZ)), REALTIME_RATE_HZ)
    appends = [
        json.dumps({"type": "input_audio_buffer.append", "audio": base64.b64encode(pcm).decode()}) for pcm in realtime
    ]
    return {"/ws": [*endpoint], "/v1/realtime": [*appends]}


def _cut(pcm16: bytes, rate_hz: int) -> list[bytes]:
    size = 2 * round(FRAME_S * rate_hz)
    return [pcm16[start : start + size] for start in range(0, len(pcm16), size)]


async def _converse(address: str, messages: dict[str, list[str | bytes]], lot: random.Random) -> None:
    """One conversation, on either route, that ends at any of the moments at which one can."""
    route = lot.choice(tuple(messages))
    ends = lot.choice(("while speaking", "in the reply", "after the reply"))
    resets = lot.random() < 0.5
    websocket = await connect(address + route)
    speaking = asyncio.create_task(_speak(websocket, messages[route]))
    if ends == "while speaking":
        await asyncio.sleep(lot.uniform(0.1, 2.5))
    else:
        await _listen(websocket, whole=ends == "after the reply")
    if resets:
        tcp: socket.socket = websocket.transport.get_extra_info("socket")
        tcp.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        websocket.transport.abort()
    await websocket.close()
    speaking.cancel()
    await asyncio.wait([speaking])


async def _speak(websocket: ClientConnection, messages: list[str | bytes]) -> None:
    loop = asyncio.get_running_loop()
    start_s = loop.time()
    with suppress(ConnectionClosed):
        for number, message in enumerate(messages):
            await asyncio.sleep(max(0.0, start_s + number * FRAME_S - loop.time()))
            await websocket.send(message)


async def _listen(websocket: ClientConnection, *, whole: bool) -> None:
    """Until audio of a reply comes, or until all of it has come."""
    async for message in websocket:
        kind = message if isinstance(message, bytes) else json.loads(message)["type"]
        if kind in (b"DONE", "response.done"):
            return
        if not whole and (isinstance(kind, bytes) or kind == "response.output_audio.delta"):
            return
