"""HTTP requests as nobody's browser sends them: each is answered or cut, and none makes the server fail."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import httpx
import pytest

from server.app import Server
from server.limits import Limits

UPGRADE = (
    b"Host: here", b"Upgrade: websocket", b"Connection: Upgrade", b"Sec-WebSocket-Version: 13",
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
)  # fmt: skip  # a table, which is not seen with each entry in a line


async def answer(server: Server, *lines: bytes, ends: bool = True) -> bytes:
    """All that comes back; empty where the connection is cut. Without `ends`, the last header does not."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(b"\r\n".join([*lines, *((b"", b"") if ends else ())]))
    try:
        async with asyncio.timeout(20):
            return await reader.read()
    except ConnectionResetError:
        return b""
    finally:
        writer.close()


async def counted(server: Server, sample: str) -> float:
    """What /metrics says of this; 0 where it says nothing."""
    async with httpx.AsyncClient() as client:
        text = (await client.get(f"http://127.0.0.1:{server.port}/metrics")).text
    return sum(float(line.rpartition(" ")[2]) for line in text.splitlines() if line.startswith(f"{sample} "))


@pytest.mark.asyncio
@pytest.mark.parametrize("ends", [True, False])
async def test_request_of_many_headers_is_cut_before_it_takes_memory(running: Any, ends: bool) -> None:
    async with running() as server:
        headers = [b"X-%d: " % number + b"x" * 4_000 for number in range(100)]
        assert await answer(server, b"GET / HTTP/1.1", *headers, ends=ends) == b""
        assert await counted(server, 's2s_limits_hit_total{limit="request"}') == 1


@pytest.mark.asyncio
async def test_a_request_with_the_cookies_of_a_browser_is_answered(running: Any) -> None:
    async with running() as server:
        cookies = b"Cookie: " + b"x" * 8_000
        assert b" 200 " in await answer(server, b"GET / HTTP/1.1", b"Host: here", cookies, b"X-Other: " + b"x" * 8_000)


@pytest.mark.asyncio
async def test_what_follows_the_request_is_not_counted_as_one(running: Any, talk: Any) -> None:
    async with running(limits=Limits(request_bytes=1_000)) as server, talk(server) as talker:
        await talker.update(instructions="x" * 10_000)
        assert await counted(server, 's2s_limits_hit_total{limit="request"}') == 0


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("lines", "status"),
    [
        ((b"GET / HTTP/1.1", b"Accept: text/html", b"Accept: */*"), 200),
        ((b"GET /health HTTP/1.1", b"Accept: application/json", b"Accept: */*"), 200),
        ((b"GET /health HTTP/1.1", b"Accept: \xff"), 200),
        ((b"GET /\xff\xed\xa0\x80 HTTP/1.1",), 404),
        ((b"GET /page/\xff HTTP/1.1",), 404),
        ((b"GET /ws?language=\xff HTTP/1.1", *UPGRADE), 400),
        ((b"GET /ws?language=%ed%a0%80%0d%0aX:%20y HTTP/1.1", *UPGRADE), 400),
        ((b"GET /ws HTTP/1.1", *UPGRADE, b"Origin: http://\xff"), 403),
        ((b"GET /ws HTTP/1.1", *UPGRADE, b"Origin: http://[", b"Origin: x"), 403),
        ((b"GET /ws HTTP/1.1", *UPGRADE, b"Host: elsewhere", b"Origin: http://here"), 403),
        ((b"GET /ws HTTP/1.1", *UPGRADE, b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=="), 400),
        ((b"GET /ws HTTP/1.1", *UPGRADE[:-1], b"Sec-WebSocket-Key: AAAA"), 400),
        ((b"GET /ws HTTP/1.1", b"Host: here", b"Upgrade: websocket", b"Upgrade: h2c"), 426),
        ((b"GET http://here/ws HTTP/1.1", *UPGRADE), 404),
    ],
    ids=lambda value: value[-1][:40].decode("latin-1") if isinstance(value, tuple) else None,
)
async def test_odd_requests_are_answered(running: Any, lines: tuple[bytes, ...], status: int) -> None:
    async with running() as server:
        told = await answer(server, *lines)
        assert told.startswith(b"HTTP/1.1 %d " % status), told
        head = told.partition(b"\r\n\r\n")[0]
        assert b"\r\nX:" not in head
        assert await counted(server, 's2s_errors_total{code="server_failed"}') == 0


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "lines",
    [
        (b"GET / HTTP/1.1", b"Content-Length: 5", b"", b"12345"),
        (b"GET / HTTP/1.1", b"Transfer-Encoding: chunked"),
        (b"GET / HTTP/1.0",),
        (b"GET / HTTP/1.1", b" folded: header"),
        (b"GET / HTTP/1.1", b"name with spaces: x"),
        (b"GET / HTTP/1.1", b"X: \0"),
        (b"GET /" + b"x" * 9_000 + b" HTTP/1.1",),
        (b"\0" * 100,),
        (b"GET /ws HTTP/1.1", *UPGRADE, b"Sec-WebSocket-Protocol: \xff"),
    ],
    ids=lambda lines: lines[-1][:20].decode("latin-1"),
)
async def test_what_is_no_request_is_cut(running: Any, lines: tuple[bytes, ...]) -> None:
    async with running() as server:
        assert await answer(server, *lines) == b""
        assert await counted(server, 's2s_errors_total{code="server_failed"}') == 0


@pytest.mark.asyncio
async def test_an_answer_that_fails_is_logged_and_counted(
    running: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The library answers 500 then, and says that the log has more."""
    monkeypatch.setattr("server.app.Server._ready", lambda server, connection: 1 // 0)
    async with running() as server:
        with caplog.at_level(logging.ERROR):
            told = await answer(server, b"GET /ready HTTP/1.1", b"Host: here")
        assert told.startswith(b"HTTP/1.1 500 ")
        assert await counted(server, 's2s_errors_total{code="server_failed"}') == 1
    ours = [record for record in caplog.records if record.name == "server"]
    assert [record.exc_info and record.exc_info[0] for record in ours] == [ZeroDivisionError]
