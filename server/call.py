"""One caller's connection: a websocket that keeps to its limits and counts what passes.

The library bounds a message and how many of them wait. What it does not bound is done here, where the bytes come in:
frames that are no messages (pings, and pieces of a message that never ends) and how many bytes wait.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Iterable
from typing import Any

from websockets.asyncio.server import Server
from websockets.frames import DATA_OPCODES, CloseCode, Frame
from websockets.protocol import Event
from websockets.server import ServerProtocol
from websockets.typing import Data

from pipeline import ConversationSettings, Engine
from server.head import HeadConnection
from server.limits import Limit, LimitError, Limits
from server.metrics import Metrics
from server.pace import Pace
from server.tracing import Tracing
from server.turnstile import Turnstile
from server.watching import WatchedConversation


class Lobby:
    """Connections that have not come to the end of their upgrade, the oldest first: who waits there longest is most
    likely to want nothing but to wait."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._waiting: dict[Call, None] = {}

    def enter(self, call: Call) -> Call | None:
        """Returns the one for which there is no room any more, if there is one."""
        self._waiting[call] = None
        if len(self._waiting) <= self._most:
            return None
        oldest = next(iter(self._waiting))
        del self._waiting[oldest]
        return oldest

    def leave(self, call: Call) -> None:
        self._waiting.pop(call, None)


AHEAD_S = 2.0
"""Of frames, events or audio, by which a client may be ahead of the clock before it has to wait for others who are."""
TAKEN_BYTES = 1536
"""Taken apart in one go: an event with 20 ms of audio is."""
TAKING_S = 0.001
"""For how long, before others get their turn: one read of a socket may bring 40,000 of the smallest frames."""
_EVENT_BYTES = 4096
"""A longer event counts as several."""


class Call(HeadConnection):
    """Begins as a TCP connection, of which it is not known yet whether it becomes a conversation.

    Attributes:
        holder: the name of whoever's token it came in with; None where no tokens are asked for.
        limits: of the server.
        metrics: of the server.
    """

    def __init__(
        self,
        protocol: ServerProtocol,
        server: Server,
        *,
        limits: Limits,
        metrics: Metrics,
        lobby: Lobby,
        turnstile: Turnstile,
        tracing: Tracing | None,
        **settings: Any,
    ) -> None:
        super().__init__(protocol, server, **settings)
        self._lobby = lobby
        self._turnstile = turnstile
        self._tracing = tracing
        self.holder: str | None = None
        self.limits = limits
        self.metrics = metrics
        self._counters = {
            direction: (metrics.messages.labels(direction), metrics.message_bytes.labels(direction))
            for direction in ("received", "sent")
        }
        self._frames = Pace(
            Limit.FRAMES,
            most=limits.frames_at_once,
            per_s=limits.frames_per_s,
            refused=0,
            clock=self.loop.time,
            told=("frames are", "send fewer, and longer ones"),
        )
        self._events = Pace(
            Limit.EVENTS,
            most=limits.events_at_once,
            per_s=limits.events_per_s,
            refused=limits.refused_events,
            clock=self.loop.time,
            told=("events are", "send fewer"),
        )
        self._untaken = bytearray()
        """That have come, and have not been taken apart."""
        self._taking = False
        """It goes on in the next round of the event loop."""
        self._turn: asyncio.Task[None] | None = None
        """For which that has to wait."""
        self._request_bytes = 0
        """That have been taken apart of the request."""
        self._is_at_end = False
        """Nothing comes after what is untaken."""
        self._waiting_messages = 0
        """That have come whole, and are not being served yet."""
        self._waiting_bytes = 0
        """Of these, and of the one that is still coming."""
        self._broken: LimitError | None = None
        """The limit for which it is being closed: what still comes is dropped unread."""
        self._ending: asyncio.Timeout | None = None
        """Of whatever serves this connection, while something does: for a limit that was hit."""
        self._heard_s = 0.0
        """When the last message was taken, by the event loop's time."""
        self._looking: asyncio.TimerHandle | None = None
        """Whether that was too long ago."""
        self._conversation: WatchedConversation | None = None

    @property
    def ended_with(self) -> int:
        """The close code of whoever closed it; 1006 where nobody did, and it was cut."""
        sent, received = self.protocol.close_sent, self.protocol.close_rcvd
        if sent is not None and self._is_closed_by_us():
            return sent.code
        return CloseCode.ABNORMAL_CLOSURE if received is None else received.code

    def conversation(self, engine: Engine, settings: ConversationSettings) -> WatchedConversation:
        """The conversation that is held on this connection."""
        self._conversation = WatchedConversation(engine, settings, self.limits, self.metrics, self._tracing)
        return self._conversation

    async def hold(self, conversing: Awaitable[None]) -> None:
        """Wait for what serves this connection.

        Raises:
            LimitError: the client has been silent or here for too long; nothing serves it any more.
        """
        limits = self.limits
        try:
            async with (
                asyncio.timeout(limits.duration_s) as whole,
                asyncio.timeout(None) as self._ending,
            ):
                self._heard_s = self.loop.time()
                self._end_if_idle()
                await conversing
        except TimeoutError:
            if self._broken is not None:
                raise self._broken from None
            if self._ending is not None and self._ending.expired():
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
            self._ending = None
            if self._looking is not None:
                self._looking.cancel()

    def _end_if_idle(self) -> None:
        """Looked at again when it may be so at the earliest: to move a timer with every message costs more than the
        message."""
        idle_at_s = self._heard_s + self.limits.idle_s
        if idle_at_s > self.loop.time():
            self._looking = self.loop.call_at(idle_at_s, self._end_if_idle)
        elif self._ending is not None and self._broken is None:
            self._ending.reschedule(self.loop.time())

    async def finish(self) -> None:
        """Let the replies that are under way or owed end, then close as going away."""
        if self._conversation is not None:
            await self._conversation.replied()
        await self.close(CloseCode.GOING_AWAY, "the server is leaving; connect again")

    async def close(self, code: int = CloseCode.NORMAL_CLOSURE, reason: str = "") -> None:
        if self._broken is None:
            await super().close(code, reason)
            return
        # Nothing of what it sends is read any more, and so not its answer to the close either.
        self.protocol.fail(code, reason)
        self.send_data()
        try:
            async with asyncio.timeout(self.close_timeout):
                await self.wait_closed()
        except TimeoutError:
            self.transport.abort()

    async def handshake(self, *args: Any, **settings: Any) -> None:
        try:
            await super().handshake(*args, **settings)
        except asyncio.CancelledError:  # by the server's timeout
            self.metrics.limits.labels(Limit.HANDSHAKE).inc()
            raise
        finally:
            self._lobby.leave(self)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        if (oldest := self._lobby.enter(self)) is not None:
            self.metrics.limits.labels(Limit.PENDING).inc()
            oldest.transport.abort()

    def note_event(self, message: Data) -> None:
        """The client has said something that carries no audio.

        Raises:
            TooFastError: it does so too often, and this must not be done.
            LimitError: it goes on all the same.
        """
        try:
            self._events.take(1 + len(message) // _EVENT_BYTES)
        except LimitError as error:
            self.metrics.limits.labels(error.limit).inc()
            raise

    def data_received(self, data: bytes) -> None:
        if self._broken is None:
            self._untaken += data
            self._take_apart()

    def eof_received(self) -> bool:  # type: ignore[override]  # asyncio asks, the library has nothing to say
        self._is_at_end = True
        self._take_apart()
        return True  # the transport stays until all that came before has been taken

    def connection_lost(self, exc: Exception | None) -> None:
        self._untaken.clear()
        super().connection_lost(exc)

    def _take_apart(self) -> None:
        """As much of what has come as there is time for now, and room."""
        if self._taking:
            return
        until_s = self.loop.time() + TAKING_S
        while self._untaken and not self._is_full():
            piece = bytes(self._untaken[:TAKEN_BYTES])
            del self._untaken[:TAKEN_BYTES]
            if self.request is None:
                self._request_bytes += len(piece)
            if self._request_bytes > self.limits.request_bytes:
                self.metrics.limits.labels(Limit.REQUEST).inc()
                self._untaken.clear()
                self.transport.abort()
                return
            super().data_received(piece)
            if self.loop.time() >= until_s:
                break
        if self._untaken and not self._is_full():
            self._taking = True
            if self._frames.ahead_s > AHEAD_S:
                self._turn = self.loop.create_task(self._turnstile.turn(TAKEN_BYTES))
                self._turn.add_done_callback(self._take_more)
            else:
                self.loop.call_soon(self._take_more)
        if self._is_at_end:
            if not self._untaken:
                super().eof_received()
                self.transport.close()
        elif self._untaken:
            self.transport.pause_reading()
        else:
            self.transport.resume_reading()

    def _take_more(self, _: object = None) -> None:
        self._taking = False
        self._take_apart()

    def process_event(self, event: Event) -> None:
        if isinstance(event, Frame) and self._broken is None:
            try:
                self._frames.take(1)
            except LimitError as error:
                self._break(error)
            if event.opcode in DATA_OPCODES:
                if self._is_closed_by_us():
                    return  # nobody will ask for it
                self._waiting_messages += event.fin
                self._waiting_bytes += len(event.data)
        super().process_event(event)

    async def __aiter__(self) -> AsyncIterator[Data]:
        async for message in super().__aiter__():
            self._count("received", message)
            self._take(message)
            self._heard_s = self.loop.time()
            yield message
            if self._is_ahead():
                await self._turnstile.turn(len(message))
            elif self._waiting_messages:
                # One that has come already is taken without waiting: others get their turn before it.
                await asyncio.sleep(0)

    async def send(self, message: Data | Iterable[Data] | AsyncIterable[Data], text: bool | None = None) -> None:
        """Send, waiting for a slow reader, which slows nobody but itself.

        Raises:
            ConnectionClosed: the client has left.
            LimitError: it took nothing for too long; the connection is cut.
        """
        try:
            async with asyncio.timeout(self.limits.slow_reader_s):
                await super().send(message, text)
        except TimeoutError:
            self.transport.abort()
            raise self._hit(
                Limit.SLOW_READER,
                f"the client took nothing for {self.limits.slow_reader_s:.0f} s; the connection is cut",
                code="slow_reader",
            ) from None
        self._count("sent", message)

    def _take(self, message: Data) -> None:
        self._waiting_messages -= 1
        self._waiting_bytes -= len(message) if isinstance(message, bytes) else len(message.encode())
        self._take_apart()

    def _is_ahead(self) -> bool:
        """It sends faster than anybody speaks."""
        heard = 0.0 if self._conversation is None else self._conversation.ahead_s
        return max(self._frames.ahead_s, self._events.ahead_s, heard) > AHEAD_S

    def _is_full(self) -> bool:
        """Enough waits to be served. A message must come to its end before it can be."""
        if self._is_closed_by_us():
            return False
        many = self._waiting_messages > self.limits.waiting_frames
        return many or (self._waiting_messages > 0 and self._waiting_bytes > self.limits.waiting_bytes)

    def _is_closed_by_us(self) -> bool:
        return self.protocol.close_sent is not None and not self.protocol.close_rcvd_then_sent

    def _break(self, error: LimitError) -> None:
        """Have whoever holds the conversation close it for this."""
        self.metrics.limits.labels(error.limit).inc()
        self._broken = error
        self._untaken.clear()
        if self._ending is None:
            self.transport.abort()
        else:
            self._ending.reschedule(self.loop.time())

    def _count(self, direction: str, message: object) -> None:
        messages, message_bytes = self._counters[direction]
        messages.inc()
        if isinstance(message, str | bytes):
            message_bytes.inc(len(message))

    def _hit(self, limit: Limit, message: str, *, code: str) -> LimitError:
        self.metrics.limits.labels(limit).inc()
        return LimitError(limit, message, code=code)
