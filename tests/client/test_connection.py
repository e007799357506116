"""What a person is told when a server cannot be had."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from http import HTTPStatus

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosedError, ConnectionClosedOK
from websockets.frames import Close
from websockets.http11 import Request, Response

from client.connection import UnavailableError, disconnection, open_websocket, split_url


async def hang_up(_websocket: ServerConnection) -> None:
    """Accept and leave."""


def refusing(status: HTTPStatus, times: int, **headers: str) -> Callable[[ServerConnection, Request], Response | None]:
    """Refuse the first `times` upgrades."""
    left = [times]

    def process_request(connection: ServerConnection, _request: Request) -> Response | None:
        if not left[0]:
            return None
        left[0] -= 1
        response = connection.respond(status, "loading whisper-base\n")
        for name, value in headers.items():
            response.headers[name.replace("_", "-")] = value
        return response

    return process_request


async def dial(
    process_request: Callable[[ServerConnection, Request], Response | None], wait_s: float = 0.0
) -> list[str]:
    progress: list[str] = []
    async with serve(hang_up, "127.0.0.1", 0, process_request=process_request) as listening:
        url = f"ws://127.0.0.1:{next(iter(listening.sockets)).getsockname()[1]}/v1/realtime"
        websocket = await open_websocket(url, wait_s=wait_s, on_wait=progress.append)
        await websocket.close()
    return progress


@pytest.mark.asyncio
@pytest.mark.parametrize("retry_after", ["0", "soon"])
async def test_a_loading_server_is_waited_for(retry_after: str) -> None:
    progress = await dial(refusing(HTTPStatus.SERVICE_UNAVAILABLE, 1, Retry_After=retry_after), wait_s=60.0)
    assert len(progress) == 1
    assert "still loading" in progress[0]


@pytest.mark.asyncio
async def test_a_server_that_asks_for_more_time_than_there_is_is_given_up_at_once() -> None:
    with pytest.raises(UnavailableError, match=r"HTTP 503.*loading whisper-base.*--wait"):
        await dial(refusing(HTTPStatus.SERVICE_UNAVAILABLE, 1, Retry_After="9"), wait_s=5.0)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("status", "remedy"),
    [
        (HTTPStatus.UNAUTHORIZED, "wants a token"),
        (HTTPStatus.FORBIDDEN, "token is not accepted"),
        (HTTPStatus.NOT_FOUND, "/v1/realtime"),
        (HTTPStatus.INTERNAL_SERVER_ERROR, "server's log"),
    ],
)
async def test_a_refusal_comes_with_its_remedy(status: HTTPStatus, remedy: str) -> None:
    with pytest.raises(UnavailableError, match=f"HTTP {status.value}.*{remedy}"):
        await dial(refusing(status, 1), wait_s=60.0)


@pytest.mark.asyncio
async def test_nobody_there() -> None:
    with pytest.raises(UnavailableError, match=r"nothing listens at ws://127.0.0.1:1/.*s2s serve"):
        await open_websocket("ws://127.0.0.1:1/")


@pytest.mark.parametrize(
    "url", ["", "127.0.0.1:8080", "ftp://h/", "ws://", "ws://[oops", "ws://h:port/", "ws://h:99999/"]
)
def test_what_is_no_address_is_said_so(url: str) -> None:
    with pytest.raises(UnavailableError, match="write it like ws://"):
        split_url(url)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("status", "passing"), [(401, False), (403, False), (404, False), (429, True), (502, True), (503, True)]
)
async def test_whether_a_refusal_may_pass_is_told_and_for_how_long_it_is_asked(status: int, passing: bool) -> None:
    with pytest.raises(UnavailableError) as refused:
        await dial(refusing(HTTPStatus(status), 1, Retry_After="7"))
    assert (refused.value.passing, refused.value.retry_after_s) == (passing, 7.0)


@pytest.mark.asyncio
async def test_nobody_there_may_pass() -> None:
    with pytest.raises(UnavailableError) as nobody:
        await open_websocket("ws://127.0.0.1:1/")
    assert nobody.value.passing


@pytest.mark.asyncio
async def test_a_server_that_hangs_up_in_the_handshake_may_be_starting() -> None:
    async def hang_up(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async with await asyncio.start_server(hang_up, "127.0.0.1", 0) as listening:
        port = listening.sockets[0].getsockname()[1]
        with pytest.raises(UnavailableError) as refused:
            await open_websocket(f"ws://127.0.0.1:{port}/")
    assert refused.value.passing


@pytest.mark.parametrize(
    ("code", "reason", "told", "again"),
    [
        (1001, "", "code 1001: the server is leaving", True),
        (1008, "too fast", "code 1008: too fast", False),
        (1011, "", "code 1011: the server failed", True),
        (1013, "", "overloaded", True),
        (4000, "", "code 4000: no reason given", False),
    ],
)
def test_close_codes_are_explained(code: int, reason: str, told: str, again: bool) -> None:
    lost = disconnection(ConnectionClosedError(Close(code, reason), None))
    assert lost is not None
    assert told in lost.reason
    assert lost.again is again


def test_a_connection_that_broke_may_be_made_again_and_one_that_was_over_is_not_lost() -> None:
    broken = disconnection(ConnectionClosedError(None, None))
    assert broken is not None
    assert broken.again
    assert disconnection(ConnectionClosedOK(Close(1000, ""), Close(1000, ""), True)) is None
