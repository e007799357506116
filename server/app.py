"""Routes and lifecycle: listen at once, load in the background, serve, and leave in order."""

from __future__ import annotations

import asyncio
import itertools
import logging
import math
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from http import HTTPStatus
from importlib import metadata
from types import TracebackType
from typing import Literal, Self, TypeAlias, cast

from websockets.asyncio.server import Server as WebsocketServer
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.frames import CloseCode
from websockets.http11 import Request, Response

from pipeline.capacity import Capacity
from pipeline.engine import Engine
from pipeline.languages import Language
from server import metrics
from server.answers import accepted, respond, respond_json
from server.call import Call, Lobby
from server.door import Door, RefusedError, choose_subprotocol, unavailable
from server.endpoint import Clock, endpoint_settings, serve_endpoint
from server.head import finish_response
from server.limits import Limit, LimitError, Limits
from server.logs import SESSION
from server.metrics import Metrics
from server.page import page_response
from server.realtime.connection import last_words, serve_realtime
from server.room import Room
from server.tokens import TokenError, Tokens
from server.tracing import Tracing
from server.turnstile import Turnstile

LoadEngine: TypeAlias = Callable[[Callable[[str], None]], Awaitable[Engine]]
"""Loads the engine, telling its argument what comes next."""

REALTIME_PATHS = ("/v1/realtime", "/realtime")
# The original client appends `/ws` to its URL, trailing slash or not.
ENDPOINT_PATHS = ("/ws", "//ws")
ROUTES = "GET /, GET /health, GET /ready, GET /metrics, websocket /v1/realtime (or /realtime), websocket /ws"

CLOSE_LIMIT_S = 5.0
"""How long conversations may take to end, and then the models."""
_CLOSE_CODES = frozenset(CloseCode)
_LONGEST_REASON = 120
"""Bytes of the reason in a close frame, of which the protocol allows 123."""

_log = logging.getLogger("server")


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """How a server serves.

    Attributes:
        port: 0 takes a free one.
        languages: what is listened for where a client names none.
        origins: the pages of other hosts that may connect, as `https://host`, or `*` for all.
        drain_s: how long replies that are under way may take to end when the server leaves.
    """

    host: str = "127.0.0.1"
    port: int = 8080
    languages: tuple[Language, ...] = tuple(Language)
    limits: Limits = field(default_factory=Limits)
    tokens: Tokens = field(default_factory=Tokens)
    origins: tuple[str, ...] = ()
    drain_s: float = 20.0


class Server:
    """The listening server; an async context manager. Entering listens, leaving closes every conversation with 1001.

    Args:
        load: loads the engine; started on entering, in the background.
        measure: finds how many conversations the engine can carry, where the limits do not say how many there may be;
            None for no limit then.
        clock: paces replies on `/ws`.
        tracing: where traces of turns go, if anywhere; whoever opened it closes it.

    Attributes:
        metrics: of this server.

    Raises (on entering):
        OSError: the port is taken, or the host is not of this machine.

    Raises (on leaving):
        TimeoutError: the models had not ended within `CLOSE_LIMIT_S`.
    """

    def __init__(
        self,
        load: LoadEngine,
        settings: ServerSettings,
        *,
        measure: Callable[[Engine], Awaitable[Capacity]] | None = None,
        clock: Clock | None = None,
        tracing: Tracing | None = None,
    ) -> None:
        self._load = load
        self._measure = measure
        self._settings = settings
        self._clock = clock or Clock()
        self._tracing = tracing
        self._door = Door(settings.tokens, settings.origins)
        self._room = Room(settings.limits)
        self.metrics = Metrics()
        self._what_loads = "starting"
        self._engine: Engine | None = None
        self._draining = False
        self._active: set[Call] = set()
        self._numbers = itertools.count(1)
        self._websockets: WebsocketServer
        self._loading: asyncio.Task[None]

    async def __aenter__(self) -> Self:
        limits = self._settings.limits
        connection = partial(
            Call,
            limits=limits,
            metrics=self.metrics,
            lobby=Lobby(limits.pending),
            turnstile=Turnstile(),
            tracing=self._tracing,
        )
        # TCP_NODELAY is what asyncio sets on every socket. Speech does not compress, and compressing takes time.
        self._websockets = await serve(
            self._handle,
            self._settings.host,
            self._settings.port,
            process_request=self._answer,
            process_response=finish_response,
            select_subprotocol=choose_subprotocol,
            create_connection=cast(type[ServerConnection], connection),
            compression=None,
            open_timeout=limits.handshake_s,
            max_size=limits.frame_bytes,
            max_queue=None,  # what may wait is for `Call` to say
            write_limit=limits.unsent_bytes,
            close_timeout=CLOSE_LIMIT_S / 2,
            server_header=None,
        )
        self._door.log_who_may_come(self._settings.host)
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
        return len(self._calls())

    @property
    def state(self) -> Literal["loading", "ready", "stuck", "draining"]:
        """`stuck`: a model does not come back from its work, and the process should be replaced."""
        if self._draining:
            return "draining"
        if self._engine is None:
            return "loading"
        return "stuck" if self._engine.stuck() else "ready"

    async def ready(self) -> None:
        """Wait until the engine is warm; raises what its loading raised."""
        await asyncio.shield(self._loading)

    def reload_tokens(self) -> None:
        """Read the tokens anew. Whoever is in stays in; when they cannot be read, the old ones stay good."""
        try:
            self._settings.tokens.reload()
        except TokenError as error:
            _log.error("%s; the tokens from before stay good", error)
        else:
            _log.info("the tokens were read anew; listed: %d", len(self._settings.tokens))

    async def drain(self) -> None:
        """Take no more callers, and close each conversation with 1001 when the replies that it is owed have ended.

        Returns when all have, or after the settings' limit. The server listens on, and says that it is leaving.
        """
        self._draining = True
        _log.info("draining: %d conversations end their replies, within %.0f s", self.sessions, self._settings.drain_s)
        try:
            async with asyncio.timeout(self._settings.drain_s):
                await asyncio.gather(*(call.finish() for call in self._calls()))
        except TimeoutError:
            _log.warning("%d conversations had not ended their replies; leaving anyway", self.sessions)

    async def disconnect(self) -> None:
        """Take no more callers, and close every conversation with 1001; what takes longer than the limit is dropped."""
        self._websockets.close()
        try:
            async with asyncio.timeout(CLOSE_LIMIT_S):
                await self._websockets.wait_closed()
        except TimeoutError:
            _log.warning("not every connection had ended within %.0f s; leaving anyway", CLOSE_LIMIT_S)

    def _calls(self) -> set[Call]:
        return self._active | cast(set[Call], self._websockets.connections)

    async def _load_engine(self) -> None:
        started = time.monotonic()
        engine = await self._load(self._note_loading)
        if self._measure is not None and self._settings.limits.sessions is None:
            self._note_loading("measurement of this machine")
            try:
                self._room.measured = await self._measure(engine)
            except BaseException:
                await engine.aclose()
                raise
        self._engine = engine
        _log.info("ready after %.1f s; %s", time.monotonic() - started, self._room.told())

    def _note_loading(self, what: str) -> None:
        self._what_loads = what
        _log.info("loading %s", what)

    def _answer(self, connection: ServerConnection, request: Request) -> Response | None:
        """The HTTP answer; None lets the upgrade to a websocket go on."""
        path, _, query = request.path.partition("?")
        try:
            if page := page_response(path, accepted(request.headers)):
                return page
            match path:
                case "/":
                    return connection.respond(HTTPStatus.OK, "Ok")
                case "/health":
                    return self._health(connection, request)
                case "/ready":
                    return self._ready(connection)
                case "/metrics":
                    self._door.holder(request.headers)
                    return self._expose(connection)
                case _ if path in REALTIME_PATHS + ENDPOINT_PATHS:
                    self._admit(cast(Call, connection), request, path, query)
                    return None
                case _:
                    return connection.respond(
                        HTTPStatus.NOT_FOUND, f"nothing is served at {path!r}; there are: {ROUTES}\n"
                    )
        except RefusedError as refused:
            self.metrics.refusals.labels(refused.status.value).inc()
            if refused.limit:
                self.metrics.limits.labels(refused.limit).inc()
            response = connection.respond(refused.status, refused.text)
            response.headers.update(refused.headers)
            return response
        except Exception:
            # The library answers 500, and its own log is not listened to.
            _log.exception("failed to answer a request")
            self.metrics.errors.labels("server_failed").inc()
            raise

    def _admit(self, call: Call, request: Request, path: str, query: str) -> None:
        """Let a caller in, or raise `RefusedError`."""
        self._door.check_origin(request.headers)
        call.holder = self._door.holder(request.headers)
        if path in ENDPOINT_PATHS:
            try:
                endpoint_settings(query, self._settings.languages)
            except ValueError as error:
                raise RefusedError(HTTPStatus.BAD_REQUEST, f"{error}\n") from None
        if self.state != "ready":
            raise unavailable(self._why_not_ready())
        self._room.check(call.holder, [other.holder for other in self._calls()])

    def _health(self, connection: ServerConnection, request: Request) -> Response:
        """`Ok`, as the original container answers; whoever asks for JSON is told what is running, too."""
        if self._engine is None or self._engine.stuck():
            raise unavailable(self._why_not_ready())
        if accepted(request.headers) != "application/json":
            return connection.respond(HTTPStatus.OK, "Ok")
        profile = self._engine.profile
        return respond_json(
            connection,
            HTTPStatus.OK,
            {
                "status": "ready",
                "version": metadata.version("s2s-gate"),
                "profile": profile.name,
                "stt": profile.described(profile.speech_to_text.engine),
                "lm": profile.language_model.engines,
                "tts": profile.text_to_speech.engines,
                "voices": {language: self._engine.voices(language) for language in Language},
            },
        )

    def _ready(self, connection: ServerConnection) -> Response:
        """Whether new callers are taken, how many there are and may be, and why not more."""
        told = {
            "state": self.state,
            "sessions": self.sessions,
            "capacity": self._room.most,
            "limited_by": self._room.limited_by,
        }
        if self.state == "ready":
            return respond_json(connection, HTTPStatus.OK, told)
        response = respond_json(
            connection, HTTPStatus.SERVICE_UNAVAILABLE, told | {"why": self._why_not_ready().strip()}
        )
        response.headers.update(unavailable("").headers)
        return response

    def _expose(self, connection: ServerConnection) -> Response:
        """The metrics, as Prometheus reads them."""
        most = self._room.most
        self.metrics.ready.set(self.state == "ready")
        self.metrics.sessions.set(self.sessions)
        self.metrics.capacity.set(math.inf if most is None else most)
        if self._engine is not None:
            self.metrics.workers(self._engine.jobs())
        return respond(connection, HTTPStatus.OK, self.metrics.text(), metrics.CONTENT_TYPE)

    def _why_not_ready(self) -> str:
        if self._draining:
            return "the server is leaving; try again later\n"
        if self._engine is not None and (worker := self._engine.stuck()) is not None:
            return f"stuck: the {worker} does not come back from its work; restart the server\n"
        return f"loading: {self._what_loads}\n"

    async def _handle(self, connection: ServerConnection) -> None:
        """One conversation, from the upgrade until all of it is freed."""
        call = cast(Call, connection)
        if self._engine is None or call.request is None:
            raise AssertionError("an upgrade is let through only with an engine, and has a request")
        path, _, query = call.request.path.partition("?")
        started = time.monotonic()
        SESSION.set(next(self._numbers))
        self._active.add(call)
        self.metrics.opened.labels(path).inc()
        _log.info("%s opened%s, %d in all", path, f" by {call.holder}" if call.holder else "", self.sessions)
        try:
            if path in ENDPOINT_PATHS:
                await call.hold(serve_endpoint(call, self._engine, self._settings.languages, query, self._clock))
            else:
                await call.hold(serve_realtime(call, self._engine, self._settings.languages, query))
        except* LimitError as limits:
            await self._close_for(_leaf(limits), call, path)
        except* Exception:
            _log.exception("failed")
            self.metrics.errors.labels("server_failed").inc()
            await call.close(CloseCode.INTERNAL_ERROR, "the server failed; its log says why")
        finally:
            self._active.discard(call)
            lasted_s = time.monotonic() - started
            await call.close()
            code = call.ended_with
            if code == CloseCode.MESSAGE_TOO_BIG:
                self.metrics.limits.labels(Limit.FRAME).inc()
            # A client may close with any code that it makes up.
            self.metrics.closed.labels(code if code in _CLOSE_CODES else "other").inc()
            self.metrics.session_seconds.observe(lasted_s)
            _log.info("closed (%s) after %.1f s", code, lasted_s)

    async def _close_for(self, error: LimitError, call: Call, path: str) -> None:
        _log.warning("%s: %s", error.limit, error)
        with suppress(ConnectionClosed, LimitError):
            if path in REALTIME_PATHS:
                await call.send(last_words(error))
        timely = error.limit in (Limit.IDLE, Limit.DURATION)
        code = CloseCode.GOING_AWAY if timely else CloseCode.POLICY_VIOLATION
        await call.close(code, str(error).encode()[:_LONGEST_REASON].decode(errors="ignore"))


def _leaf(group: BaseExceptionGroup[LimitError]) -> LimitError:
    first = group.exceptions[0]
    return _leaf(first) if isinstance(first, BaseExceptionGroup) else first
