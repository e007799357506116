"""The page in a headless Chromium, talking to a server on a loopback port, with a recording for its microphone."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from playwright.async_api import Page, WebSocket, async_playwright

from pipeline.engine import Engine
from pipeline.testing import Script, scripted_engine
from server.app import Server, ServerSettings

RATE_HZ = 48_000
TIMEOUT_MS = 60_000
CLIPS = Path(__file__).parents[2] / "fixtures" / "audio" / "synthetic"
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--autoplay-policy=no-user-gesture-required",
    "--use-fake-device-for-media-stream",
    # A name of this machine that browsers do not trust as they do `localhost`.
    "--host-resolver-rules=MAP s2s.test 127.0.0.1",
]
ALLOWED = "--use-fake-ui-for-media-stream"


class Visit:
    """A page that is open, and what went over its websockets.

    Attributes:
        sent: the events of the page, but for its audio.
        received: the events of the server, but for its audio.
        broken: errors of its scripts, and what its content security policy stopped.
    """

    def __init__(self, page: Page) -> None:
        self.page = page
        self.sent: list[dict[str, Any]] = []
        self.received: list[dict[str, Any]] = []
        self.broken: list[str] = []
        page.on("websocket", self._listen)
        page.on("pageerror", lambda error: self.broken.append(str(error)))
        page.on("console", lambda said: self.broken.append(said.text) if "Security Policy" in said.text else None)

    def _listen(self, websocket: WebSocket) -> None:
        websocket.on("framesent", lambda payload: _keep(self.sent, payload, "input_audio_buffer.append"))
        websocket.on("framereceived", lambda payload: _keep(self.received, payload, "response.output_audio.delta"))

    def sent_of(self, kind: str) -> list[dict[str, Any]]:
        return [event for event in self.sent if event["type"] == kind]

    def received_of(self, kind: str) -> list[dict[str, Any]]:
        return [event for event in self.received if event["type"] == kind]

    async def state(self, *states: str) -> None:
        """Wait until the page is in one of these states, in this order."""
        for state in states:
            await self.page.wait_for_selector(f'#talk[data-state="{state}"]', timeout=TIMEOUT_MS)

    async def text(self, selector: str, pattern: str = r"\S") -> str:
        """The text of what is found there, once it matches."""
        found = self.page.locator(selector).first
        await self.page.wait_for_function(
            "([selector, pattern]) => new RegExp(pattern).test(document.querySelector(selector)?.innerText ?? '')",
            arg=[selector, pattern],
            timeout=TIMEOUT_MS,
        )
        return await found.inner_text()


def _keep(events: list[dict[str, Any]], payload: str | bytes, but: str) -> None:
    event = json.loads(payload)
    if event["type"] != but:
        events.append(event)


@pytest.fixture
def visit(
    chromium: str, tmp_path: Path, recording: Callable[..., Path]
) -> Callable[..., AbstractAsyncContextManager[Visit]]:
    """`async with visit(url, microphone=path, ...) as visit`: the page is loaded. Other arguments are Playwright's.

    Without a recording the microphone hears silence.
    """

    @asynccontextmanager
    async def visiting(
        url: str, *, microphone: Path | None = None, allowed: bool = True, **context: Any
    ) -> AsyncIterator[Visit]:
        microphone = microphone or recording()
        flags = [*FLAGS, f"--use-file-for-fake-audio-capture={microphone}%noloop", *([ALLOWED] if allowed else [])]
        async with async_playwright() as playwright:
            browser = await playwright.chromium.launch_persistent_context(
                tmp_path / "profile", executable_path=chromium, args=flags, **context
            )
            page = browser.pages[0]
            visit = Visit(page)
            await page.goto(url)
            yield visit
            await browser.close()
        assert not visit.broken

    return visiting


@pytest.fixture
def recording(tmp_path: Path) -> Callable[..., Path]:
    """`recording("en-01", 2.0, "fr-01")`: clips, and seconds of silence between and after them, as a file."""

    def record(*parts: str | float) -> Path:
        sounds = [np.zeros(RATE_HZ // 2, np.float32)]
        for part in parts:
            if isinstance(part, str):
                samples, rate_hz = soundfile.read(CLIPS / f"{part}.flac", dtype="float32")
                sounds.append(np.repeat(samples, RATE_HZ // rate_hz))
            else:
                sounds.append(np.zeros(round(part * RATE_HZ), np.float32))
        path = tmp_path / "microphone.wav"
        soundfile.write(path, np.concatenate(sounds), RATE_HZ, subtype="PCM_16")
        return path

    return record


@pytest.fixture
def running() -> Callable[..., AbstractAsyncContextManager[Server]]:
    """`async with running(Script(...), ...) as server`: scripted models, warm, on a free port if none is given."""

    @asynccontextmanager
    async def run(script: Script | None = None, **settings: Any) -> AsyncIterator[Server]:
        async def load(on_loading: Callable[[str], None]) -> Engine:
            return scripted_engine(script)

        async with Server(load, ServerSettings(**({"port": 0} | settings))) as server:
            await server.ready()
            yield server

    return run
