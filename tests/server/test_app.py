from __future__ import annotations

import asyncio
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from pipeline.capacity import Capacity
from pipeline.engine import Engine
from pipeline.scripted_runner import OnTheLoop, Pace
from pipeline.testing import scripted_engine
from server.app import Server, ServerSettings
from server.limits import Limits

ALL_PATHS = ["/v1/realtime", "/realtime", "/ws", "//ws"]

SERVE_SCRIPTED = """
import asyncio
from pipeline.testing import scripted_engine
from server.app import Server, ServerSettings
from server.signals import serve_until_signalled

async def load(on_loading):
    return scripted_engine()

asyncio.run(
    serve_until_signalled(
        Server(load, ServerSettings(port=0)),
        lambda server: print(server.port, flush=True),
        lambda: print("left in order", flush=True),
    )
)
"""


async def get(server: Server, path: str) -> httpx.Response:
    async with httpx.AsyncClient() as client:
        return await client.get(f"http://127.0.0.1:{server.port}{path}")


async def refusal(server: Server, path: str) -> InvalidStatus:
    with pytest.raises(InvalidStatus) as caught:
        await connect(f"ws://127.0.0.1:{server.port}{path}", proxy=None).__aenter__()
    return caught.value


@pytest.mark.asyncio
async def test_health_says_what_is_loading_until_warm() -> None:
    warm = asyncio.Event()

    async def load(on_loading: Callable[[str], None]) -> Engine:
        on_loading("speech to text")
        await warm.wait()
        return scripted_engine()

    async with Server(load, ServerSettings(port=0)) as server:
        response = await get(server, "/health")
        while "speech to text" not in response.text:
            response = await get(server, "/health")
        assert response.status_code == 503
        assert int(response.headers["Retry-After"]) > 0
        assert (await get(server, "/")).text == "Ok"
        for path in ALL_PATHS:
            refused = (await refusal(server, path)).response
            assert refused.status_code == 503
            assert "Retry-After" in refused.headers
        warm.set()
        await server.ready()
        response = await get(server, "/health")
        assert (response.status_code, response.content) == (200, b"Ok")


@pytest.mark.asyncio
async def test_health_as_json_says_what_answers_in_each_language(running: Any) -> None:
    async with running() as server, httpx.AsyncClient() as client:
        url = f"http://127.0.0.1:{server.port}/health"
        told = (await client.get(url, headers={"Accept": "application/json"})).json()
    assert (told["status"], told["profile"], told["stt"]) == ("ready", "embedded", "whisper-base")
    assert told["voices"] == {code: ["scripted"] for code in ("en", "fr", "es", "zh", "ja", "ko")}
    assert told["lm"] == {"en": "smollm2"} | dict.fromkeys(("fr", "es", "zh", "ja", "ko"), "echo")


@pytest.mark.asyncio
async def test_a_load_failure_reaches_whoever_waits() -> None:
    async def load(on_loading: Callable[[str], None]) -> Engine:
        raise RuntimeError("no weights here")

    async with Server(load, ServerSettings(port=0)) as server:
        with pytest.raises(RuntimeError, match="no weights here"):
            await server.ready()


@pytest.mark.asyncio
async def test_an_engine_that_cannot_be_measured_is_let_go() -> None:
    closed: list[str] = []

    class Closing(OnTheLoop):
        def __init__(self, name: str) -> None:
            super().__init__(Pace())
            self._name = name

        def close(self) -> None:
            closed.append(self._name)

    async def load(on_loading: Callable[[str], None]) -> Engine:
        return scripted_engine(runner=lambda name, slots: Closing(name))

    async def measure(engine: Engine) -> Capacity:
        raise RuntimeError("the model is ill")

    async with Server(load, ServerSettings(port=0), measure=measure) as server:
        with pytest.raises(RuntimeError, match="the model is ill"):
            await server.ready()
        assert "text-to-speech" in closed
        assert (await get(server, "/ready")).status_code == 503


@pytest.mark.asyncio
@pytest.mark.parametrize("path", ALL_PATHS)
async def test_every_route_upgrades(running: Any, path: str) -> None:
    async with running() as server, connect(f"ws://127.0.0.1:{server.port}{path}") as websocket:
        assert websocket.response is not None
        assert websocket.response.status_code == 101
        assert "Sec-WebSocket-Extensions" not in websocket.response.headers


@pytest.mark.asyncio
async def test_an_unknown_path_names_the_routes(running: Any) -> None:
    async with running() as server:
        response = await get(server, "/v2/speech")
        assert response.status_code == 404
        for route in ("/health", "/v1/realtime", "/ws"):
            assert route in response.text


@pytest.mark.asyncio
async def test_a_caller_too_many_is_refused_and_a_leaver_makes_room(running: Any, talk: Any) -> None:
    async with running(limits=Limits(sessions=1)) as server:
        async with talk(server):
            refused = (await refusal(server, "/ws")).response
            assert refused.status_code == 503
            assert b"1 sessions" in refused.body
        while server.sessions:
            await asyncio.sleep(0.01)
        async with talk(server) as talker:
            assert talker.types() == ["session.created"]


@pytest.mark.asyncio
async def test_leaving_closes_conversations_as_going_away(running: Any, talk: Any) -> None:
    async with running() as server:
        talker = await talk(server).__aenter__()
    with pytest.raises(ConnectionClosed) as closed:
        await talker.websocket.recv()
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1001


@pytest.mark.asyncio
async def test_a_taken_port_is_an_error(running: Any) -> None:
    async def load(on_loading: Callable[[str], None]) -> Engine:
        return scripted_engine()

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(OSError, match="address already in use"):
            await Server(load, ServerSettings(port=taken.getsockname()[1])).__aenter__()


@pytest.mark.asyncio
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_it_in_order(number: signal.Signals) -> None:
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", SERVE_SCRIPTED, stdout=subprocess.PIPE)
    assert process.stdout is not None
    port = int(await process.stdout.readline())
    async with connect(f"ws://127.0.0.1:{port}/v1/realtime") as websocket:
        await websocket.recv()
        process.send_signal(number)
        with pytest.raises(ConnectionClosed) as closed:
            await websocket.recv()
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1001
    assert (await process.stdout.read()).decode().strip() == "left in order"
    assert await process.wait() == 0
