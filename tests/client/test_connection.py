"""What a person is told when a server cannot be had."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.http11 import Request, Response

from client.connection import UnavailableError, open_websocket, split_url


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
