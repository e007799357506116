"""An event loop of virtual time whose connections are in memory: the whole server, without a socket.

Bytes arrive in the round of the loop after the one in which they were written, and time moves only when nobody has
anything to do; so a run of hostile clients comes out the same each time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from harness.virtual_time import VirtualTimeLoop

_HIGH_WATER = 2**16


class _End(asyncio.Transport):
    """One end of a connection."""

    def __init__(self, loop: asyncio.AbstractEventLoop, protocol: Any) -> None:
        super().__init__()
        self._loop = loop
        self._protocol = protocol
        self._peer: _End
        self._arrived: list[bytes | None] = []
        """None is the end."""
        self._reading = True
        self._closing = False
        self._lost = False
        self._paused_writer = False

    def join(self, peer: _End) -> None:
        self._peer = peer

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if not self._closing:
            self._peer.arrive(bytes(data))

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self._peer.arrive(None)

    def close(self) -> None:
        if not self._closing:
            self._closing = True
            self._peer.arrive(None)
            self._loop.call_soon(self._lose, None)

    def abort(self) -> None:
        self._closing = True
        self._loop.call_soon(self._lose, None)
        self._loop.call_soon(self._peer.reset)

    def reset(self) -> None:
        self._closing = True
        self._lose(ConnectionResetError())

    def is_closing(self) -> bool:
        return self._closing

    def pause_reading(self) -> None:
        self._reading = False

    def resume_reading(self) -> None:
        if not self._reading:
            self._reading = True
            self._loop.call_soon(self._deliver)

    def is_reading(self) -> bool:
        return self._reading

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """What the peer has not read is bounded here by one figure."""

    def arrive(self, data: bytes | None) -> None:
        self._arrived.append(data)
        if not self._peer._paused_writer and self._unread() > _HIGH_WATER:
            self._peer._paused_writer = True
            self._peer._protocol.pause_writing()
        self._loop.call_soon(self._deliver)

    def _unread(self) -> int:
        return sum(len(data or b"") for data in self._arrived)

    def _deliver(self) -> None:
        while self._arrived and self._reading and not self._lost:
            data = self._arrived.pop(0)
            if data is not None:
                self._protocol.data_received(data)
            elif not self._protocol.eof_received():
                self.close()
        if self._peer._paused_writer and self._unread() <= _HIGH_WATER // 4:
            self._peer._paused_writer = False
            self._peer._protocol.resume_writing()

    def _lose(self, error: Exception | None) -> None:
        if not self._lost:
            self._lost = True
            self._protocol.connection_lost(error)


class _Listener:
    """What a server needs of `asyncio.Server`."""

    sockets = ()

    def __init__(self, loop: WireLoop) -> None:
        self._loop = loop

    def is_serving(self) -> bool:
        return self._loop.factory is not None

    def close(self) -> None:
        self._loop.factory = None

    async def wait_closed(self) -> None:
        pass

    def get_loop(self) -> asyncio.AbstractEventLoop:
        return self._loop


class WireLoop(VirtualTimeLoop):
    """Whoever connects, wherever to, reaches the one server that listens."""

    def __init__(self) -> None:
        super().__init__()
        self.factory: Callable[[], Any] | None = None

    async def create_server(self, protocol_factory: Any, *_: Any, **__: Any) -> Any:
        self.factory = protocol_factory
        return _Listener(self)

    async def create_connection(self, protocol_factory: Any, *_: Any, **__: Any) -> Any:
        if self.factory is None:
            raise ConnectionRefusedError
        protocols = protocol_factory(), self.factory()
        client, server = (_End(self, protocol) for protocol in protocols)
        client.join(server)
        server.join(client)
        protocols[1].connection_made(server)
        protocols[0].connection_made(client)
        return client, protocols[0]
