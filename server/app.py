"""Routes and lifecycle: listen at once, load in the background, serve, and leave in order."""

from __future__ import annotations

import asyncio
import itertools
import json
import logging
import signal
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from http import HTTPStatus
from importlib import metadata
from types import TracebackType
from typing import Self, TypeAlias

from websockets.asyncio.server import Server as WebsocketServer
from websockets.asyncio.server import ServerConnection, serve
from websockets.frames import CloseCode
from websockets.http11 import Request, Response

from pipeline.engine import Engine
from pipeline.languages import Language
from server.duplex import SlowClientError
from server.endpoint import Clock, endpoint_settings, serve_endpoint
from server.realtime.connection import serve_realtime

LoadEngine: TypeAlias = Callable[[Callable[[str], None]], Awaitable[Engine]]
"""Loads the engine, telling its argument what comes next."""

REALTIME_PATHS = ("/v1/realtime", "/realtime")
# The original client appends `/ws` to its URL, trailing slash or not.
ENDPOINT_PATHS = ("/ws", "//ws")
ROUTES = "GET /, GET /health, websocket /v1/realtime (or /realtime), websocket /ws"

# Base64 of a minute and a half of PCM16 at 24 kHz; a longer frame closes its connection with 1009.
MAX_FRAME_BYTES = 8 * 2**20
# What may wait, frames for a busy conversation and bytes for a slow reader, before the other side is made to wait.
MAX_WAITING_FRAMES = 8
MAX_UNSENT_BYTES = 2**16
RETRY_AFTER_S = 5
CLOSE_LIMIT_S = 5.0
"""How long conversations may take to end, and then the models."""

_log = logging.getLogger("server")


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """`languages`: what is listened for where a client names none. `port` 0 takes a free one."""

    host: str = "127.0.0.1"
    port: int = 8080
    languages: tuple[Language, ...] = tuple(Language)
    max_sessions: int = 8


class Server:
    """The listening server; an async context manager. Entering listens, leaving closes every conversation with 1001.

    Args:
        load: loads the engine; started on entering, in the background.
        clock: paces replies on `/ws`.

    Raises (on entering):
        OSError: the port is taken, or the host is not of this machine.

    Raises (on leaving):
        TimeoutError: the models had not ended within `CLOSE_LIMIT_S`.
    """

    def __init__(self, load: LoadEngine, settings: ServerSettings, *, clock: Clock | None = None) -> None:
        self._load = load
        self._settings = settings
        self._clock = clock or Clock()
        self._what_loads = "starting"
        self._engine: Engine | None = None
        self._active: set[ServerConnection] = set()
        self._numbers = itertools.count(1)
        self._websockets: WebsocketServer
        self._loading: asyncio.Task[None]

    async def __aenter__(self) -> Self:
        # TCP_NODELAY is what asyncio sets on every socket. Speech does not compress, and compressing takes time.
        self._websockets = await serve(
            self._handle,
            self._settings.host,
            self._settings.port,
            process_request=self._answer,
            compression=None,
            max_size=MAX_FRAME_BYTES,
            max_queue=MAX_WAITING_FRAMES,
            write_limit=MAX_UNSENT_BYTES,
            close_timeout=CLOSE_LIMIT_S / 2,
            server_header=None,
        )
        self._loading = asyncio.create_task(self._load_engine())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.disconnect()
        self._loading.cancel()
        async with asyncio.timeout(CLOSE_LIMIT_S):
            await asyncio.wait([self._loading])
            if self._engine:
                await self._engine.aclose()

    @property
    def port(self) -> int:
        return int(next(iter(self._websockets.sockets)).getsockname()[1])

    @property
    def sessions(self) -> int:
        """Conversations that are open, or not yet wholly freed."""
        return len(self._active | self._websockets.connections)

    async def ready(self) -> None:
        """Wait until the engine is warm; raises what its loading raised."""
        await asyncio.shield(self._loading)

    async def disconnect(self) -> None:
        """Take no more callers, and close every conversation with 1001; what takes longer than the limit is dropped."""
        self._websockets.close()
        try:
            async with asyncio.timeout(CLOSE_LIMIT_S):
                await self._websockets.wait_closed()
        except TimeoutError:
            _log.warning("not every connection had ended within %.0f s; leaving anyway", CLOSE_LIMIT_S)

    async def _load_engine(self) -> None:
        started = time.monotonic()
        self._engine = await self._load(self._note_loading)
        _log.info("ready after %.1f s", time.monotonic() - started)

    def _note_loading(self, what: str) -> None:
        self._what_loads = what
        _log.info("loading %s", what)

    def _answer(self, connection: ServerConnection, request: Request) -> Response | None:
        """The HTTP answer; None lets the upgrade to a websocket go on."""
        path, _, query = request.path.partition("?")
        if path == "/":
            return connection.respond(HTTPStatus.OK, "Ok")
        if path == "/health":
            return self._health(connection, request) if self._engine else self._busy(connection, self._loads())
        if path not in REALTIME_PATHS + ENDPOINT_PATHS:
            return connection.respond(HTTPStatus.NOT_FOUND, f"nothing is served at {path!r}; there are: {ROUTES}\n")
        if path in ENDPOINT_PATHS:
            try:
                endpoint_settings(query, self._settings.languages)
            except ValueError as error:
                return connection.respond(HTTPStatus.BAD_REQUEST, f"{error}\n")
        if self._engine is None:
            return self._busy(connection, self._loads())
        if self.sessions >= self._settings.max_sessions:
            return self._busy(connection, f"all {self._settings.max_sessions} sessions are taken; try again later\n")
        return None

    def _health(self, connection: ServerConnection, request: Request) -> Response:
        """`Ok`, as the original container answers; whoever asks for JSON is told what is running, too."""
        if self._engine is None or request.headers.get("Accept") != "application/json":
            return connection.respond(HTTPStatus.OK, "Ok")
        profile = self._engine.profile
        told = {
            "status": "ready",
            "version": metadata.version("s2s-gate"),
            "profile": profile.name,
            "stt": profile.speech_to_text.model,
            "lm": profile.language_model.engines,
            "tts": profile.text_to_speech.engines,
        }
        response = connection.respond(HTTPStatus.OK, json.dumps(told))
        del response.headers["Content-Type"]
        response.headers["Content-Type"] = "application/json"
        return response

    def _loads(self) -> str:
        return f"loading: {self._what_loads}\n"

    def _busy(self, connection: ServerConnection, why: str) -> Response:
        response = connection.respond(HTTPStatus.SERVICE_UNAVAILABLE, why)
        response.headers["Retry-After"] = str(RETRY_AFTER_S)
        return response

    async def _handle(self, websocket: ServerConnection) -> None:
        """One conversation, from the upgrade until all of it is freed."""
        if self._engine is None or websocket.request is None:
            raise AssertionError("an upgrade is let through only with an engine, and has a request")
        path, _, query = websocket.request.path.partition("?")
        number, started = next(self._numbers), time.monotonic()
        self._active.add(websocket)
        _log.info("session %d: %s opened, %d in all", number, path, self.sessions)
        try:
            if path in ENDPOINT_PATHS:
                await serve_endpoint(websocket, self._engine, self._settings.languages, query, self._clock)
            else:
                await serve_realtime(websocket, self._engine, self._settings.languages, query)
        except* SlowClientError as slow:
            _log.warning("session %d: %s", number, slow.exceptions[0])
        except* Exception:
            _log.exception("session %d failed", number)
            await websocket.close(CloseCode.INTERNAL_ERROR, "the server failed; its log says why")
        finally:
            self._active.discard(websocket)
            lasted_s = time.monotonic() - started
            _log.info("session %d: closed (%s) after %.1f s", number, websocket.close_code, lasted_s)


async def serve_until_signalled(
    server: Server, on_ready: Callable[[Server], None], on_stopped: Callable[[], None]
) -> None:
    """Serve until SIGTERM or SIGINT; raises what entering or loading raised.

    `on_stopped` is called when every conversation is closed, before the models are let go.
    """
    signalled = asyncio.Event()
    for signal_number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(signal_number, signalled.set)
    async with server:
        ready = asyncio.create_task(server.ready())
        stop = asyncio.create_task(signalled.wait())
        await asyncio.wait({ready, stop}, return_when=asyncio.FIRST_COMPLETED)
        if not stop.done():
            await ready
            on_ready(server)
        await stop
        ready.cancel()
        await server.disconnect()
        _log.info("stopped")
        on_stopped()
