"""What one client does is no other client's business: each test has a neighbour in the midst of a conversation."""

from __future__ import annotations

import asyncio
import gc
import socket
import struct
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from benchmarks.callers import ask_by_tone
from benchmarks.scripted_server import PROGRAM
from client.connection import say_nothing
from harness.own_server import own_server
from harness.targets import open_target
from pipeline.conversation import Conversation
from pipeline.lm.base import Message
from pipeline.testing import Script, scripted_engine
from server.app import Server
from server.limits import Limits

LONG = "And so on and so on. " * 200


def remembering(messages: Sequence[Message]) -> str:
    return " ".join(message.text for message in messages if message.role == "user")


async def freed(server: Server, left: int) -> None:
    """Wait until only `left` conversations remain."""
    async with asyncio.timeout(20):
        while server.sessions > left:
            await asyncio.sleep(0.01)


async def close_code(websocket: ClientConnection) -> int | None:
    with pytest.raises(ConnectionClosed) as closed:
        async with asyncio.timeout(20):
            while True:
                await websocket.recv()
    return closed.value.rcvd.code if closed.value.rcvd else None


def reset(websocket: ClientConnection) -> None:
    """Leave like a killed process: a TCP reset, no close frame."""
    tcp: socket.socket = websocket.transport.get_extra_info("socket")
    tcp.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    websocket.transport.abort()


@pytest.mark.asyncio
async def test_two_conversations_get_their_own_replies(running: Any, talk: Any) -> None:
    engine = scripted_engine(Script(reply=remembering))
    async with running(engine) as server, talk(server) as one, talk(server) as two:
        for talker, name in [(one, "ada"), (two, "bob"), (one, "again")]:
            content = [{"type": "input_text", "text": name}]
            await talker.send("conversation.item.create", item={"type": "message", "role": "user", "content": content})
        await asyncio.gather(one.send("response.create"), two.send("response.create"))
        await asyncio.gather(one.until("response.done"), two.until("response.done"))
    assert one.of("response.output_audio_transcript.done")[0]["transcript"] == "ada again"
    assert two.of("response.output_audio_transcript.done")[0]["transcript"] == "bob"


def alive() -> int:
    """Conversations that are referred to by anything, the logged errors of other tests included."""
    gc.collect()
    return sum(isinstance(thing, Conversation) for thing in gc.get_objects())


@pytest.mark.asyncio
async def test_a_vanished_client_is_freed_and_its_neighbour_goes_on(running: Any, talk: Any, question: Any) -> None:
    async with running() as server, talk(server) as neighbour:
        before, conversations = len(asyncio.all_tasks()), alive()
        for path in ("/v1/realtime", "/ws"):
            gone = await connect(f"ws://127.0.0.1:{server.port}{path}").__aenter__()
            if path == "/ws":
                await gone.send(question(16_000)[:16_000])
            else:
                await gone.send('{"type": "response.create"}')
                await gone.recv()
            reset(gone)
            await freed(server, left=1)
        del gone
        await neighbour.ask()
        assert (await neighbour.until("response.done"))["response"]["status"] == "completed"
        assert alive() == conversations
        assert len(asyncio.all_tasks()) <= before


async def text_on_the_binary_route(server: Server) -> None:
    async with connect(f"ws://127.0.0.1:{server.port}/ws") as websocket:
        await websocket.send("hello")
        assert await close_code(websocket) == 1003


async def odd_bytes(server: Server) -> None:
    async with connect(f"ws://127.0.0.1:{server.port}/ws") as websocket:
        await websocket.send(b"\0" * 1023)
        assert await close_code(websocket) == 1007


async def a_huge_frame(server: Server) -> None:
    for path in ("/ws", "/v1/realtime"):
        async with connect(f"ws://127.0.0.1:{server.port}{path}") as websocket:
            # The length in the header is enough: the server does not wait for the 100 MB.
            websocket.transport.write(b"\x82\xff" + struct.pack(">Q", 100_000_000) + b"\0\0\0\0")
            assert await close_code(websocket) == 1009


async def a_frame_just_too_long(server: Server) -> None:
    websocket = await connect(f"ws://127.0.0.1:{server.port}/ws")
    with suppress(ConnectionClosed):
        await websocket.send(bytes(Limits().frame_bytes + 2))
    assert await close_code(websocket) == 1009


async def noise_instead_of_a_handshake(server: Server) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(b"\x16\x03\x01\x00\xff nothing of HTTP\r\n\r\n")
    await reader.read()
    writer.close()


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "misbehave",
    [text_on_the_binary_route, odd_bytes, a_huge_frame, a_frame_just_too_long, noise_instead_of_a_handshake],
    ids=lambda misbehave: misbehave.__name__,
)
async def test_garbage_ends_its_sender_alone(
    running: Any, talk: Any, misbehave: Callable[[Server], Awaitable[None]]
) -> None:
    async with (
        running(scripted_engine(Script(heard=["hello"], reply=remembering))) as server,
        talk(server) as neighbour,
    ):
        await neighbour.ask()
        await neighbour.until("response.created")
        await misbehave(server)
        await neighbour.until("response.done")
        await neighbour.ask()
        await neighbour.until("response.done")
        await freed(server, left=1)
    assert neighbour.of("response.output_audio_transcript.done")[-1]["transcript"] == "hello hello"


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "garbage", ["{", '{"type": "no.such.event"}', b"\xff\xfe", "[1]", '{"type": "session.update"}']
)
async def test_garbage_on_realtime_is_an_error_and_the_connection_lives(
    running: Any, talk: Any, garbage: str | bytes
) -> None:
    async with running() as server, talk(server) as neighbour, talk(server) as talker:
        await talker.websocket.send(garbage)
        assert (await talker.until("error"))["error"]["message"]
        for each in (talker, neighbour):
            await each.ask()
            assert (await each.until("response.done"))["response"]["status"] == "completed"


@pytest.mark.asyncio
async def test_a_client_that_does_not_read_slows_only_itself(running: Any, talk: Any) -> None:
    engine = scripted_engine(Script(reply=lambda messages: LONG if messages[-1].text == "long" else "Short."))
    async with running(engine) as server, talk(server) as neighbour:
        stuck = await connect(f"ws://127.0.0.1:{server.port}/v1/realtime", max_queue=1).__aenter__()
        content = '[{"type": "input_text", "text": "long"}]'
        item = f'{{"type": "message", "role": "user", "content": {content}}}'
        await stuck.send(f'{{"type": "conversation.item.create", "item": {item}}}')
        await stuck.send('{"type": "response.create"}')
        for _ in range(3):
            await neighbour.ask()
            assert (await neighbour.until("response.done"))["response"]["status"] == "completed"
        assert server.sessions == 2
        reset(stuck)
        await freed(server, left=1)


@pytest.mark.asyncio
async def test_a_server_that_is_ready_has_nothing_left_to_import(tmp_path: Path) -> None:
    """While Python imports, nobody is served."""
    log = tmp_path / "log"
    async with own_server(log, on_progress=say_nothing, program=("-X", "importtime", *PROGRAM)) as url:
        for name, path in (("realtime", "/v1/realtime"), ("endpoint", "/ws")):
            async with open_target(name, url + path) as target:
                assert (await ask_by_tone(target)).ended_s is not None
    before, after = log.read_text().split("server: ready after")
    assert "import time:" in before
    assert [line for line in after.split("draining")[0].splitlines() if line.startswith("import time:")] == []
