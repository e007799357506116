"""The binary client against scripted servers on a real loopback socket."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from client.connection import DisconnectedError
from client.endpoint import DONE, POLL_INTERVAL_S, EndpointClient, endpoint_url, is_endpoint_url, parse_message
from client.events import Disconnected, Failed, ReplyAudio, ReplyEnded

Script = Callable[[ServerConnection], Awaitable[None]]


@asynccontextmanager
async def server(script: Script) -> AsyncIterator[str]:
    async with serve(script, "127.0.0.1", 0) as listening:
        yield f"ws://127.0.0.1:{next(iter(listening.sockets)).getsockname()[1]}/ws"


@pytest.mark.asyncio
async def test_a_server_that_only_answers_is_polled_until_its_reply_is_out() -> None:
    received: list[bytes | str] = []

    async def original(websocket: ServerConnection) -> None:
        waiting = [b"\1\0" * 512, b"\2\0" * 512, DONE]
        for piece in waiting:
            received.append(await websocket.recv())
            await websocket.send(piece)

    async with server(original) as url, EndpointClient(url) as client:
        await client.send(b"\5\0" * 320)
        events = [event async for event in client.events()]
    assert events == [ReplyAudio(b"\1\0" * 512), ReplyAudio(b"\2\0" * 512), ReplyEnded()]
    assert received == [b"\5\0" * 320, b"", b""]


def test_polls_are_frequent_enough_for_full_rate_playback() -> None:
    assert 1 / POLL_INTERVAL_S >= 32


@pytest.mark.asyncio
async def test_pushed_audio_is_taken() -> None:
    async def push(websocket: ServerConnection) -> None:
        for _ in range(3):
            await websocket.send(b"\1\0")
        await websocket.send(DONE)

    async with server(push) as url, EndpointClient(url) as client:
        events = [event async for event in client.events()]
    assert events == [ReplyAudio(b"\1\0")] * 3 + [ReplyEnded()]


@pytest.mark.asyncio
async def test_hostile_messages_are_failures_or_kept_as_they_are() -> None:
    async def babble(websocket: ServerConnection) -> None:
        await websocket.send("hello")
        await websocket.send(b"\1\2\3")
        await websocket.send(b"")
        await websocket.close(1011, "out of memory")

    async with server(babble) as url, EndpointClient(url) as client:
        text, odd, closed = [event async for event in client.events()]
        with pytest.raises(DisconnectedError):
            await client.send(b"\0\0")
    assert isinstance(text, Failed)
    assert "binary" in text.reason
    assert odd == ReplyAudio(b"\1\2\3")
    assert closed == Disconnected("the server closed the connection with code 1011: out of memory", again=True)


@pytest.mark.asyncio
async def test_it_leaves_without_a_trace() -> None:
    gone: list[int | None] = []

    async def listen(websocket: ServerConnection) -> None:
        try:
            while True:
                await websocket.recv()
        except ConnectionClosed:
            gone.append(websocket.close_code)

    async with server(listen) as url, EndpointClient(url):
        pass
    assert gone == [1000]


@pytest.mark.parametrize(
    ("url", "is_endpoint"),
    [
        ("ws://h/ws", True),
        ("ws://h//ws/", True),
        ("https://h/a/ws", True),
        ("ws://h", False),
        ("ws://h/v1/realtime", False),
    ],
)
def test_the_path_names_the_protocol(url: str, is_endpoint: bool) -> None:
    assert is_endpoint_url(url) is is_endpoint


@pytest.mark.parametrize(
    ("url", "language", "dialled"),
    [
        ("http://h/ws", "auto", "ws://h/ws"),
        ("wss://h/ws?a=b", "fr", "wss://h/ws?a=b&language=fr"),
        ("ws://h/ws?language=ja", "fr", "ws://h/ws?language=ja"),
    ],
)
def test_the_language_goes_into_the_query(url: str, language: str, dialled: str) -> None:
    assert endpoint_url(url, language) == dialled


@given(message=st.binary())
def test_audio_is_kept_byte_for_byte(message: bytes) -> None:
    event = parse_message(message)
    assert event == (ReplyEnded() if message == DONE else ReplyAudio(message) if message else None)
