"""What the page says when something is wrong, and that it goes on by itself where it can."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from websockets.asyncio.client import connect

from server.limits import Limits
from server.tokens import Tokens


@pytest.mark.asyncio
async def test_a_full_server_is_waited_for(running: Any, visit: Any) -> None:
    async with running(limits=Limits(sessions=1)) as server, visit(f"http://127.0.0.1:{server.port}/") as visit:
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
async def test_a_server_that_wants_a_token_is_given_it_as_browsers_can(running: Any, visit: Any) -> None:
    async with running(tokens=Tokens("ada: open.sesame")) as server, visit(f"http://127.0.0.1:{server.port}/") as visit:
        await visit.page.click("#talk")
        assert await visit.text("#trouble-title") == "This server asks for a token"
        field = visit.page.get_by_label("Access token")
        assert await field.evaluate("field => field === document.activeElement")
        await field.fill("open")
        await field.press("Enter")
        assert await visit.text("#trouble-title", "not accepted") == "The token was not accepted"
        assert "this token is no good" in await visit.text("#trouble-advice")
        await field.fill("open/sesame")
        await field.press("Enter")
        await visit.text("#trouble-advice", "browsers can send")
        await field.fill("open.sesame")
        await field.press("Enter")
        await visit.state("listening")
        assert await visit.page.locator("#trouble").is_hidden()


@pytest.mark.asyncio
async def test_a_session_that_lasted_too_long_is_followed_by_another(running: Any, visit: Any, recording: Any) -> None:
    async with (
        running(limits=Limits(duration_s=2.0)) as server,
        visit(f"http://127.0.0.1:{server.port}/", microphone=recording("en-01")) as visit,
    ):
        await visit.page.click("#talk")
        await visit.text("#transcript .you", "…")
        assert await visit.text("#trouble-title") == "The connection was lost"
        assert "a session lasts 2 s at most" in await visit.text("#trouble-advice")
        assert "(lost)" in await visit.text("#transcript .you")
        await visit.text("#transcript .note", "Connected again")
