"""Who comes in and who does not, seen from outside: a token, an origin, and what stays open to everybody."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.asyncio.client import connect
from websockets.datastructures import Headers
from websockets.exceptions import InvalidStatus

from server.app import Server
from server.door import Door, RefusedError
from server.tokens import Tokens

PATHS = ["/v1/realtime", "/realtime", "/ws", "//ws"]
BEARER = {"Authorization": "Bearer the-secret"}


async def status(server: Server, path: str, **settings: Any) -> tuple[int, Headers, str]:
    """Of an attempt to connect: 101 where it succeeds."""
    try:
        async with connect(f"ws://127.0.0.1:{server.port}{path}", proxy=None, **settings) as websocket:
            assert websocket.response is not None
            return websocket.response.status_code, websocket.response.headers, ""
    except InvalidStatus as refused:
        return refused.response.status_code, refused.response.headers, bytes(refused.response.body).decode()


@pytest.mark.asyncio
@pytest.mark.parametrize("path", PATHS)
async def test_a_token_opens_every_route_and_nothing_else_does(running: Any, path: str) -> None:
    async with running(tokens=Tokens("another-one, ada: the-secret")) as server:
        assert (await status(server, path, additional_headers=BEARER))[0] == 101
        assert (await status(server, path, additional_headers={"Authorization": "bearer  the-secret"}))[0] == 101
        code, headers, says = await status(server, path)
        assert (code, headers["WWW-Authenticate"]) == (401, 'Bearer realm="s2s"')
        assert "Authorization: Bearer TOKEN" in says
        for wrong in ("Bearer wrong", "Bearer", "Bearer the-secret2", "Basic the-secret", "the-secret", ""):
            code, headers, says = await status(server, path, additional_headers={"Authorization": wrong})
            assert (code, headers["WWW-Authenticate"]) == (401, 'Bearer realm="s2s", error="invalid_token"')
            assert "the-secret" not in says


@pytest.mark.asyncio
async def test_the_browser_client_of_openai_shows_its_token_as_a_subprotocol(running: Any) -> None:
    offered = ["realtime", "openai-insecure-api-key.the-secret", "openai-beta.realtime-v1"]
    async with running(tokens=Tokens("the-secret")) as server:
        code, headers, _ = await status(server, "/v1/realtime", subprotocols=offered)
        assert (code, headers["Sec-WebSocket-Protocol"]) == (101, "realtime")
        both = await status(server, "/v1/realtime", subprotocols=offered, additional_headers=BEARER)
        assert both[0] == 101
        for others in (["realtime"], ["realtime", "openai-insecure-api-key.wrong"]):
            assert (await status(server, "/v1/realtime", subprotocols=others))[0] == 401
        contradicting = await status(
            server, "/v1/realtime", subprotocols=["openai-insecure-api-key.wrong"], additional_headers=BEARER
        )
        assert contradicting[0] == 401


@pytest.mark.asyncio
async def test_without_tokens_any_key_will_do(running: Any) -> None:
    async with running() as server:
        for headers in ({}, {"Authorization": "Bearer none"}):
            assert (await status(server, "/v1/realtime", additional_headers=headers))[0] == 101
        code, headers, _ = await status(server, "/v1/realtime", subprotocols=["openai-insecure-api-key.any"])
        assert (code, "Sec-WebSocket-Protocol" in headers) == (101, False)


@pytest.mark.asyncio
async def test_health_and_ready_are_open_and_metrics_are_not(running: Any) -> None:
    async with running(tokens=Tokens("the-secret")) as server, httpx.AsyncClient() as client:
        codes = {
            (path, token): (await client.get(f"http://127.0.0.1:{server.port}{path}", headers=headers)).status_code
            for path in ("/health", "/ready", "/metrics")
            for token, headers in (("none", {}), ("good", BEARER))
        }
    assert [path for (path, _), code in codes.items() if code == 200] == [*["/health"] * 2, *["/ready"] * 2, "/metrics"]
    assert codes["/metrics", "none"] == 401


@pytest.mark.asyncio
async def test_a_token_that_is_taken_away_lets_nobody_in_and_puts_nobody_out(
    running: Any, talk: Any, tmp_path: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "server")
    file = tmp_path / "tokens"
    file.write_text("the-secret")
    async with (
        running(tokens=Tokens(file=file)) as server,
        talk(server, additional_headers=BEARER) as talker,
    ):
        file.write_text("the-secret twice")
        server.reload_tokens()
        assert "stay good" in caplog.text
        assert (await status(server, "/ws", additional_headers=BEARER))[0] == 101
        file.write_text("a-new-one")
        server.reload_tokens()
        assert (await status(server, "/ws", additional_headers=BEARER))[0] == 401
        assert (await status(server, "/ws", additional_headers={"Authorization": "Bearer a-new-one"}))[0] == 101
        await talker.ask()
        await talker.until("response.done")
    assert "the-secret" not in caplog.text
    assert "a-new-one" not in caplog.text


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("origin", "allowed", "code"),
    [
        (None, (), 101),
        ("http://127.0.0.1:PORT", (), 101),
        ("https://127.0.0.1:PORT", (), 101),  # behind a gateway that has the certificate
        ("https://elsewhere.example", (), 403),
        ("http://127.0.0.1", (), 403),
        ("null", (), 403),
        ("", (), 403),
        ("http://[", (), 403),
        ("https://elsewhere.example", ("https://other.example", "https://ELSEWHERE.example/"), 101),
        ("https://elsewhere.example:8443", ("https://elsewhere.example",), 403),
        ("null", ("*",), 101),
    ],
)
async def test_pages_of_other_hosts_need_to_be_allowed(
    running: Any, origin: str | None, allowed: tuple[str, ...], code: int
) -> None:
    async with running(origins=allowed) as server:
        named = origin.replace("PORT", str(server.port)) if origin else origin
        for path in PATHS:
            answer, _, says = await status(server, path, origin=named)
            assert answer == code
            if code == 403:
                assert repr(origin) in says
                assert "--allow-origin" in says


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("host", "tokens", "level", "says"),
    [
        ("127.0.0.1", "", logging.INFO, "whoever is on this machine may connect"),
        ("127.0.0.1", "one,two", logging.INFO, "a token is needed to connect; listed: 2"),
        ("0.0.0.0", "", logging.WARNING, "whoever reaches 0.0.0.0 may connect"),  # noqa: S104 -- what is warned of
        ("0.0.0.0", "one,two", logging.INFO, "a token is needed to connect; listed: 2"),  # noqa: S104 - that address is what is tested
    ],
)
async def test_who_may_come_is_logged_at_the_start(
    running: Any, caplog: pytest.LogCaptureFixture, host: str, tokens: str, level: int, says: str
) -> None:
    caplog.set_level(logging.INFO, "server")
    async with running(host=host, tokens=Tokens(tokens)):
        pass
    record = caplog.records[0]
    assert record.levelno == level
    assert says in record.getMessage()


_HEADER = st.text(st.characters(max_codepoint=255, exclude_characters="\r\n\0"), max_size=80)


@given(st.lists(_HEADER, max_size=3), st.lists(_HEADER, max_size=3), st.lists(_HEADER, max_size=2))
def test_no_header_is_too_strange_to_refuse(authorization: list[str], protocols: list[str], origins: list[str]) -> None:
    door = Door(Tokens("the-secret"))
    headers = Headers(Host="here.example")
    for name, values in (("Authorization", authorization), ("Sec-WebSocket-Protocol", protocols), ("Origin", origins)):
        for value in values:
            headers[name] = value
    with pytest.raises(RefusedError, match="token"):
        door.holder(headers)
    if origins:
        with pytest.raises(RefusedError, match="--allow-origin"):
            door.check_origin(headers)


@pytest.mark.asyncio
async def test_two_origins_are_no_browser_of_ours(running: Any) -> None:
    async with running() as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        own = f"127.0.0.1:{server.port}"
        writer.write(
            f"GET /ws HTTP/1.1\r\nHost: {own}\r\nOrigin: http://{own}\r\nOrigin: https://elsewhere.example\r\n\r\n".encode()
        )
        assert (await reader.readline()).startswith(b"HTTP/1.1 403")
        writer.close()
