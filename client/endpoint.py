"""A client of the seed's binary `/ws` protocol: PCM16 mono at 16 kHz both ways, and the four bytes DONE after a reply.

The original server answers every message with at most one piece of its reply and never pushes, so a client that has
nothing to say must keep polling with empty messages, faster than the reply plays: 31.25 pieces of 32 ms a second. The
microphone's own messages count as polls. Audio that a server pushes unasked is taken as well.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from types import TracebackType
from typing import Self
from urllib.parse import parse_qsl, urlencode

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from client.connection import DisconnectedError, disconnection, explain_close, open_websocket, say_nothing, split_url
from client.events import Failed, ReplyAudio, ReplyEnded, ServerEvent

PATH = "/ws"
RATE_HZ = 16_000
DONE = b"DONE"
POLL_INTERVAL_S = 0.025
"""40 a second, yet longer than a 20 ms microphone frame, so that a sending client does not poll besides."""

_UPGRADE_HEADERS = {"Accept": "application/json", "Content-Type": "application/json"}
"""What the original client sends; the gateway before a hosted endpoint has only ever seen these."""


class EndpointClient:
    """One conversation; an async context manager. The protocol has no settings: whatever is wanted goes into the URL.

        async with EndpointClient("ws://127.0.0.1:8080/ws") as client:
            await client.send(pcm16_16k)
            async for event in client.events(): ...

    Args:
        url: the whole address, path and all.
        language: a code goes into the query, which the original server ignores; `auto` leaves it to the server.
        token: bearer token.
        wait_s: for how long a server that is still loading (503) is waited for.
        on_wait: told of each such wait.

    Raises (on entering):
        UnavailableError: no connection.
    """

    def __init__(
        self,
        url: str,
        *,
        language: str = "auto",
        token: str | None = None,
        wait_s: float = 0.0,
        on_wait: Callable[[str], None] = say_nothing,
    ) -> None:
        self.url = endpoint_url(url, language)
        self._token = token
        self._wait_s = wait_s
        self._on_wait = on_wait
        self._websocket: ClientConnection
        self._poller: asyncio.Task[None]
        self._poll_due_s = 0.0

    @property
    def full_duplex(self) -> bool:
        """The microphone is closed while a reply is played: nobody can interrupt."""
        return False

    async def __aenter__(self) -> Self:
        self._websocket = await open_websocket(
            self.url, token=self._token, wait_s=self._wait_s, on_wait=self._on_wait, headers=_UPGRADE_HEADERS
        )
        self._put_off_poll()
        self._poller = asyncio.create_task(self._poll(), name="poll of /ws")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._poller.cancel()
        with suppress(asyncio.CancelledError):
            await self._poller
        await self._websocket.close()

    async def send(self, pcm16: bytes) -> None:
        """Send microphone audio: PCM16 mono, 16 kHz.

        Raises:
            DisconnectedError: the connection is closed; `events` says why.
        """
        self._put_off_poll()
        try:
            await self._websocket.send(pcm16)
        except ConnectionClosed as closed:
            raise DisconnectedError(explain_close(closed)) from closed

    async def truncate(self, item: str, heard_ms: int) -> None:
        """The protocol cannot say how much of a reply was heard."""

    async def events(self) -> AsyncIterator[ServerEvent]:
        """What the server says, as it arrives; ends when the connection does. Nothing a server sends makes it raise."""
        while True:
            try:
                message = await self._websocket.recv()
            except ConnectionClosed as closed:
                if lost := disconnection(closed):
                    yield lost
                return
            if event := parse_message(message):
                yield event

    def _put_off_poll(self) -> None:
        self._poll_due_s = asyncio.get_running_loop().time() + POLL_INTERVAL_S

    async def _poll(self) -> None:
        loop = asyncio.get_running_loop()
        with suppress(ConnectionClosed):
            while True:
                if (idle_s := self._poll_due_s - loop.time()) > 0:
                    await asyncio.sleep(idle_s)
                    continue
                self._poll_due_s += POLL_INTERVAL_S
                await self._websocket.send(b"")


def endpoint_url(url: str, language: str) -> str:
    """The address to dial, with the language in its query unless that names one, or it is `auto`."""
    parts = split_url(url)
    query = parse_qsl(parts.query, keep_blank_values=True)
    if language != "auto" and "language" not in dict(query):
        query.append(("language", language))
    return parts._replace(query=urlencode(query)).geturl()


def is_endpoint_url(url: str) -> bool:
    """Whether the path is this protocol's: /ws, under any prefix, and the //ws that the original client asks for."""
    return split_url(url).path.rstrip("/").endswith(PATH)


def parse_message(message: str | bytes) -> ServerEvent | None:
    """What one message means; None for an empty one."""
    if isinstance(message, str):
        return Failed(
            f"a text message ({message[:80]!r}), but the /ws protocol is binary; is this the Realtime protocol?"
        )
    if message == DONE:
        return ReplyEnded()
    return ReplyAudio(message) if message else None
