"""One caller's connection: a websocket that keeps to its limits and counts what passes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Iterable
from typing import Any

from websockets.asyncio.server import Server
from websockets.frames import CloseCode
from websockets.server import ServerProtocol
from websockets.typing import Data

from pipeline import ConversationSettings, Engine
from server.head import HeadConnection
from server.limits import Limit, LimitError, Limits
from server.metrics import Metrics
from server.watching import WatchedConversation


class Call(HeadConnection):
    """Begins as a TCP connection, of which it is not known yet whether it becomes a conversation.

    Attributes:
        holder: the name of whoever's token it came in with; None where no tokens are asked for.
        metrics: of the server.
    """

    def __init__(
        self, protocol: ServerProtocol, server: Server, *, limits: Limits, metrics: Metrics, **settings: Any
    ) -> None:
        super().__init__(protocol, server, **settings)
        self.holder: str | None = None
        self.metrics = metrics
        self._limits = limits
        self._idle: asyncio.Timeout | None = None
        self._conversation: WatchedConversation | None = None

    @property
    def ended_with(self) -> int:
        """The close code of whoever closed it; 1006 where nobody did, and it was cut."""
        sent, received = self.protocol.close_sent, self.protocol.close_rcvd
        if sent is not None and not self.protocol.close_rcvd_then_sent:
            return sent.code
        return CloseCode.ABNORMAL_CLOSURE if received is None else received.code

    def conversation(self, engine: Engine, settings: ConversationSettings) -> WatchedConversation:
        """The conversation that is held on this connection."""
        self._conversation = WatchedConversation(engine, settings, self._limits, self.metrics)
        return self._conversation

    async def hold(self, conversing: Awaitable[None]) -> None:
        """Wait for what serves this connection.

        Raises:
            LimitError: the client has been silent or here for too long; nothing serves it any more.
        """
        limits = self._limits
        try:
            async with (
                asyncio.timeout(limits.duration_s) as whole,
                asyncio.timeout(limits.idle_s) as self._idle,
            ):
                await conversing
        except TimeoutError:
            if self._idle is not None and self._idle.expired():
                raise self._hit(
                    Limit.IDLE, f"nothing came for {limits.idle_s:.0f} s; connect again", code="session_idle"
                ) from None
            if whole.expired():
                raise self._hit(
                    Limit.DURATION,
                    f"a session lasts {limits.duration_s:.0f} s at most; connect again",
                    code="session_expired",
                ) from None
            raise
        finally:
            self._idle = None

    async def finish(self) -> None:
        """Let the replies that are under way or owed end, then close as going away."""
        if self._conversation is not None:
            await self._conversation.replied()
        await self.close(CloseCode.GOING_AWAY, "the server is leaving; connect again")

    async def handshake(self, *args: Any, **settings: Any) -> None:
        try:
            await super().handshake(*args, **settings)
        except asyncio.CancelledError:  # by the server's timeout
            self.metrics.limits.labels(Limit.HANDSHAKE).inc()
            raise

    async def __aiter__(self) -> AsyncIterator[Data]:
        async for message in super().__aiter__():
            self._count("received", message)
            if self._idle is not None:
                self._idle.reschedule(self.loop.time() + self._limits.idle_s)
            yield message
            # Messages that have come already are taken without waiting: others get their turn between them.
            await asyncio.sleep(0)

    async def send(self, message: Data | Iterable[Data] | AsyncIterable[Data], text: bool | None = None) -> None:
        """Send, waiting for a slow reader, which slows nobody but itself.

        Raises:
            ConnectionClosed: the client has left.
            LimitError: it took nothing for too long; the connection is cut.
        """
        try:
            async with asyncio.timeout(self._limits.slow_reader_s):
                await super().send(message, text)
        except TimeoutError:
            self.transport.abort()
            raise self._hit(
                Limit.SLOW_READER,
                f"the client took nothing for {self._limits.slow_reader_s:.0f} s; the connection is cut",
                code="slow_reader",
            ) from None
        self._count("sent", message)

    def _count(self, direction: str, message: object) -> None:
        self.metrics.messages.labels(direction).inc()
        if isinstance(message, str | bytes):
            self.metrics.message_bytes.labels(direction).inc(len(message))

    def _hit(self, limit: Limit, message: str, *, code: str) -> LimitError:
        self.metrics.limits.labels(limit).inc()
        return LimitError(limit, message, code=code)
