"""The files of the page, as they are sent."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from importlib.resources import files
from typing import Any

import httpx
import pytest

from pipeline.engine import Engine
from server.app import Server, ServerSettings

HTML = "text/html,application/xhtml+xml,*/*;q=0.8"


@pytest.mark.asyncio
async def test_whoever_takes_html_gets_the_page_and_the_container_contract_stands(running: Any) -> None:
    async with running() as server, httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.port}") as client:
        page = await client.get("/", headers={"Accept": HTML})
        probed = await client.get("/")
    assert page.status_code == 200
    assert page.headers["Content-Type"] == "text/html; charset=utf-8"
    assert page.text.startswith("<!doctype html>")
    assert (probed.status_code, probed.text) == (200, "Ok")


@pytest.mark.asyncio
async def test_the_page_is_there_while_the_models_load() -> None:
    async def load(on_loading: Callable[[str], None]) -> Engine:
        await asyncio.Event().wait()
        raise AssertionError

    async with Server(load, ServerSettings(port=0)) as server, httpx.AsyncClient() as client:
        page = await client.get(f"http://127.0.0.1:{server.port}/", headers={"Accept": HTML})
    assert page.text.startswith("<!doctype html>")


@pytest.mark.asyncio
async def test_all_that_the_page_names_is_of_this_host_and_there(running: Any) -> None:
    """Links of HTML, imports and worklets of scripts: followed until nothing new is named."""
    types = {"js": "text/javascript", "css": "text/css", "svg": "image/svg+xml"}
    async with running() as server, httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.port}") as client:
        found, named = set(), {"/"}
        while named - found:
            path = (named - found).pop()
            found.add(path)
            answer = await client.get(path, headers={"Accept": HTML} if path == "/" else {})
            assert answer.status_code == 200, path
            assert answer.headers["Cache-Control"] == "no-cache"
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            policy = answer.headers["Content-Security-Policy"]
            assert "default-src 'none'" in policy
            assert "unsafe" not in policy
            if path != "/":
                assert answer.headers["Content-Type"].split(";")[0] == types[path.rpartition(".")[2]]
            assert not re.search(r"https?://(?!localhost|www\.w3\.org/2000/svg)\w", answer.text), path
            named |= {f"/page/{name}" for name in re.findall(r'"(?:/page|\.)/([\w.]+)"', answer.text)}
    packed = {file.name for file in files("server.page").iterdir() if file.name.endswith((".js", ".css", ".svg"))}
    assert found - {"/"} == {f"/page/{name}" for name in packed}


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "path", ["/page/", "/page/__init__.py", "/page/../app.py", "/page/%2e%2e/app.py", "/index.html"]
)
async def test_nothing_else_is_served(running: Any, path: str) -> None:
    async with running() as server, httpx.AsyncClient() as client:
        answer = await client.get(f"http://127.0.0.1:{server.port}{path}", headers={"Accept": HTML})
    assert answer.status_code == 404
