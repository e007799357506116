"""HEAD: the answer to GET, without its body."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from server.app import Server
from server.tokens import Tokens

UPGRADE = (
    "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)


async def exchange(server: Server, request: str, *, byte_by_byte: bool = False) -> tuple[list[str], bytes]:
    """The head of the answer by lines, without its date, and the body."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    raw = request.encode()
    for piece in [raw[index : index + 1] for index in range(len(raw))] if byte_by_byte else [raw]:
        writer.write(piece)
        await writer.drain()
        await asyncio.sleep(0)
    async with asyncio.timeout(20):
        answer = await reader.read()
    writer.close()
    head, _, body = answer.partition(b"\r\n\r\n")
    return [line for line in head.decode().split("\r\n") if not line.startswith("Date:")], body


@pytest.mark.asyncio
@pytest.mark.parametrize("byte_by_byte", [False, True])
@pytest.mark.parametrize(
    ("path", "status"),
    [("/", 200), ("/health", 200), ("/ready", 200), ("/metrics", 200), ("/nothing", 404), ("/v1/realtime", 426)],
)
async def test_head_is_answered_as_get_is_without_the_body(
    running: Any, path: str, status: int, byte_by_byte: bool
) -> None:
    rest = f" {path} HTTP/1.1\r\nHost: here\r\nAccept: text/html\r\n\r\n"
    async with running() as server:
        head, nothing = await exchange(server, "HEAD" + rest, byte_by_byte=byte_by_byte)
        got, body = await exchange(server, "GET" + rest)
    assert nothing == b""
    assert body
    assert head[0].startswith(f"HTTP/1.1 {status} ")
    assert [line.partition(":")[0] for line in head] == [line.partition(":")[0] for line in got]
    if path != "/metrics":  # which count what went before
        assert head == got
        assert f"Content-Length: {len(body)}" in head


@pytest.mark.asyncio
async def test_head_needs_the_token_that_get_needs(running: Any) -> None:
    async with running(tokens=Tokens("key")) as server:
        head, nothing = await exchange(server, "HEAD /metrics HTTP/1.1\r\nHost: here\r\n\r\n")
    assert (head[0], nothing) == ("HTTP/1.1 401 Unauthorized", b"")


@pytest.mark.asyncio
async def test_head_opens_no_websocket(running: Any) -> None:
    async with running() as server:
        head, nothing = await exchange(server, f"HEAD /ws HTTP/1.1\r\nHost: here\r\n{UPGRADE}\r\n")
        assert server.sessions == 0
    assert (head[0], nothing) == ("HTTP/1.1 405 Method Not Allowed", b"")
    assert "Allow: GET" in head


@pytest.mark.asyncio
@pytest.mark.parametrize("request_line", ["POST / HTTP/1.1", "HEADS / HTTP/1.1", "HEAD", "HEA"])
async def test_what_is_neither_is_cut(running: Any, request_line: str) -> None:
    async with running() as server:
        assert await exchange(server, f"{request_line}\r\nHost: here\r\n\r\n") == ([""], b"")
