"""What the page says when something is wrong, and that it goes on by itself where it can."""

from __future__ import annotations

import asyncio
import json
from http import HTTPStatus
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

from server.page import page_response


@pytest.mark.asyncio
async def test_a_full_server_is_waited_for(running: Any, visit: Any) -> None:
    async with running(max_sessions=1) as server, visit(f"http://127.0.0.1:{server.port}/") as visit:
        async with connect(f"ws://127.0.0.1:{server.port}/v1/realtime"):
            await visit.page.click("#talk")
            assert await visit.text("#trouble-title") == "The server cannot take you yet"
            advice = await visit.text("#trouble-advice")
            assert "all 1 sessions are taken" in advice
            assert "Trying again in" in advice
        while server.sessions:
            await asyncio.sleep(0.01)
        await visit.page.get_by_role("button", name="Try again").click()
        await visit.state("listening")
        assert await visit.page.locator("#trouble").is_hidden()


@pytest.mark.asyncio
async def test_a_lost_connection_is_dialled_again(running: Any, visit: Any) -> None:
    async with running() as server:
        port = server.port
        context = visit(f"http://127.0.0.1:{port}/")
        page = await context.__aenter__()
        await page.page.click("#talk")
        await page.state("listening")
    assert await page.text("#trouble-title") == "The server does not answer"
    assert "Trying again in" in await page.text("#trouble-advice")
    await page.state("connecting")
    async with running(port=port):
        await page.state("listening")
        assert "does not remember" in await page.text("#transcript .note")
        assert await page.page.locator("#trouble").is_hidden()
        await context.__aexit__(None, None, None)


@pytest.mark.asyncio
async def test_a_microphone_that_is_not_allowed(running: Any, visit: Any) -> None:
    async with running() as server, visit(f"http://127.0.0.1:{server.port}/", allowed=False) as visit:
        await visit.page.click("#talk")
        assert await visit.text("#trouble-title") == "The microphone is not allowed"
        await visit.state("idle")
        assert server.sessions == 0


@pytest.mark.asyncio
async def test_a_page_that_is_not_secure(running: Any, visit: Any) -> None:
    async with running() as server, visit(f"http://s2s.test:{server.port}/") as visit:
        await visit.page.click("#talk")
        assert await visit.text("#trouble-title") == "The microphone needs a secure page"
        assert "https://" in await visit.text("#trouble-advice")


@pytest.mark.asyncio
async def test_a_server_that_wants_a_token_is_given_it_as_browsers_can(visit: Any) -> None:
    offered: list[str] = []

    def answer(connection: ServerConnection, request: Request) -> Response | None:
        if page := page_response(request.path, request.headers.get("Accept", "")):
            return page
        offers = request.headers.get("Sec-WebSocket-Protocol", "").split(", ")
        shown = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if "openai-insecure-api-key.sesame" in offers or shown == "sesame":
            offered.extend(offers)
            return None
        return connection.respond(HTTPStatus.UNAUTHORIZED, "no such token" if shown else "a token is needed")

    async def greet(websocket: ServerConnection) -> None:
        await websocket.send(json.dumps({"type": "session.created"}))
        await websocket.wait_closed()

    def choose(connection: ServerConnection, offers: Any) -> Subprotocol | None:
        return Subprotocol("realtime") if "realtime" in offers else None

    async with serve(greet, "127.0.0.1", 0, process_request=answer, select_subprotocol=choose) as server:
        port = server.sockets[0].getsockname()[1]
        async with visit(f"http://127.0.0.1:{port}/") as visit:
            await visit.page.click("#talk")
            assert await visit.text("#trouble-title") == "This server asks for a token"
            field = visit.page.get_by_label("Access token")
            assert await field.evaluate("field => field === document.activeElement")
            await field.fill("open")
            await field.press("Enter")
            assert await visit.text("#trouble-title", "not accepted") == "The token was not accepted"
            assert "no such token" in await visit.text("#trouble-advice")
            await field.fill("two words")
            await field.press("Enter")
            await visit.text("#trouble-advice", "no spaces")
            await field.fill("sesame")
            await field.press("Enter")
            await visit.state("listening")
            assert await visit.page.locator("#trouble").is_hidden()
    assert offered == ["realtime", "openai-insecure-api-key.sesame"]
