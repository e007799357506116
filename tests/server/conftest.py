"""A real server on a loopback socket with scripted models, and a Realtime client that validates every event."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Annotated, Any

import numpy as np
import pytest
from openai.types.realtime import RealtimeServerEvent
from pydantic import Field, TypeAdapter
from websockets.asyncio.client import ClientConnection, connect

from pipeline.audio import FloatArray, float_to_pcm16
from pipeline.engine import Engine
from pipeline.testing import scripted_engine
from server.app import Server, ServerSettings
from server.endpoint import Clock

SERVER_EVENT: TypeAdapter[Any] = TypeAdapter(Annotated[RealtimeServerEvent, Field(discriminator="type")])


def _tone(seconds: float, rate_hz: int) -> FloatArray:
    return (0.3 * np.sin(2 * np.pi * 200 * np.arange(round(seconds * rate_hz)) / rate_hz)).astype(np.float32)


def question_pcm16(rate_hz: int, *, speech_s: float = 0.6, silence_s: float = 0.8) -> bytes:
    """What the scripted detector takes for a question: a tone, then silence long enough to end the turn."""
    return float_to_pcm16(np.concatenate([_tone(speech_s, rate_hz), np.zeros(round(silence_s * rate_hz), np.float32)]))


def frames(pcm: bytes, samples: int) -> list[bytes]:
    return [pcm[start : start + 2 * samples] for start in range(0, len(pcm), 2 * samples)]


class InstantClock:
    """A clock that only waiting moves forward; keeps what it was asked to wait for."""

    def __init__(self) -> None:
        self.at_s = 0.0

    def now(self) -> float:
        return self.at_s

    async def sleep(self, seconds: float) -> None:
        self.at_s += seconds
        await asyncio.sleep(0)


def _refuse(constant: str) -> None:
    """JSON has no NaN and no infinities; Python's has, and no browser's."""
    raise AssertionError(f"{constant} is not JSON")


class Talker:
    """A Realtime client over a bare websocket: whatever it receives has passed the schema of the `openai` SDK."""

    def __init__(self, websocket: ClientConnection) -> None:
        self.websocket = websocket
        self.heard: list[dict[str, Any]] = []

    async def send(self, kind: str, **fields: Any) -> None:
        await self.websocket.send(json.dumps({"type": kind, **fields}))

    async def append(self, pcm: bytes) -> None:
        await self.send("input_audio_buffer.append", audio=base64.b64encode(pcm).decode())

    async def ask(self) -> None:
        for frame in frames(question_pcm16(24_000), 480):
            await self.append(frame)

    async def receive(self) -> dict[str, Any]:
        async with asyncio.timeout(20):
            message = json.loads(await self.websocket.recv(), parse_constant=_refuse)
        SERVER_EVENT.validate_python(message)
        assert message["event_id"]
        self.heard.append(message)
        return message

    async def until(self, kind: str) -> dict[str, Any]:
        while (message := await self.receive())["type"] != kind:
            assert message["type"] != "error" or kind == "error", message
        return message

    async def update(self, **session: Any) -> dict[str, Any]:
        await self.send("session.update", session={"type": "realtime", **session})
        return (await self.until("session.updated"))["session"]

    def types(self) -> list[str]:
        """What came so far, repeated deltas once."""
        kinds = [message["type"] for message in self.heard]
        return [kind for index, kind in enumerate(kinds) if index == 0 or kind != kinds[index - 1]]

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [message for message in self.heard if message["type"] == kind]


@asynccontextmanager
async def _talk(server: Server, path: str = "/v1/realtime", **settings: Any) -> AsyncIterator[Talker]:
    async with connect(f"ws://127.0.0.1:{server.port}{path}", **settings) as websocket:
        talker = Talker(websocket)
        await talker.until("session.created")
        yield talker


@asynccontextmanager
async def _running(
    engine: Engine | None = None, *, clock: InstantClock | None = None, **settings: Any
) -> AsyncIterator[Server]:
    async def load(on_loading: Callable[[str], None]) -> Engine:
        return engine or scripted_engine()

    pace = Clock(clock.now, clock.sleep) if clock else None
    async with Server(load, ServerSettings(port=0, **settings), clock=pace) as server:
        await server.ready()
        yield server


@pytest.fixture
def running() -> Callable[..., AbstractAsyncContextManager[Server]]:
    """`async with running(engine, clock=..., limits=..., tokens=...) as server`: warm, on a free port."""
    return _running


@pytest.fixture
def talk() -> Callable[..., AbstractAsyncContextManager[Talker]]:
    """`async with talk(server, additional_headers=...) as talker`: connected, and `session.created` has come."""
    return _talk


@pytest.fixture
def question() -> Callable[..., bytes]:
    """`question(rate_hz)`: PCM16 that the scripted detector takes for one turn."""
    return question_pcm16


@pytest.fixture
def instant_clock() -> InstantClock:
    return InstantClock()
