"""`python -m benchmarks.attackers KIND`: clients that no server deserves, in a process of their own.

Each comes back as soon as it is thrown out. The whole process takes a bounded share of a core, or the machine and not
the server would be what is measured.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import struct
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from urllib.parse import urlsplit

import click
import numpy as np
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake

REALTIME, BINARY = "/v1/realtime", "/ws"
_REST_S = 0.05
_TRICKLE_S = 5.0
_PATIENCE_S = 30.0
"""For which a flood waits to be let go on, before it begins anew."""


class Duty:
    """A share of a core that this process may take."""

    def __init__(self, share: float) -> None:
        self._share = share
        self._began_s = time.monotonic()

    async def rest(self) -> None:
        """Wait until no more than the share has been taken."""
        await asyncio.sleep(_REST_S)
        excess_s = time.process_time() / self._share - (time.monotonic() - self._began_s)
        if excess_s > 0:
            await asyncio.sleep(excess_s)


def frame(opcode: int, payload: bytes, *, fin: bool = True) -> bytes:
    """One frame of a client, whose mask is nothing."""
    length = len(payload)
    told = bytes([0x80 | length]) if length < 126 else bytes([0x80 | 127]) + struct.pack(">Q", length)
    return bytes([fin << 7 | opcode]) + told + bytes(4) + payload


def _event(kind: str, **fields: object) -> bytes:
    return frame(1, json.dumps({"type": kind, **fields}).encode())


def _noise(rate_hz: int, seconds: float) -> bytes:
    return np.random.default_rng(1).integers(-9_000, 9_000, round(rate_hz * seconds), dtype="<i2").tobytes()


def _append(seconds: float) -> bytes:
    return _event("input_audio_buffer.append", audio=base64.b64encode(_noise(24_000, seconds)).decode())


_LONG_ITEM = {
    "type": "message",
    "id": "long",
    "role": "user",
    "content": [{"type": "input_text", "text": "x" * 100_000}],
}

FLOODS: Mapping[str, tuple[str, bytes, bytes]] = {
    "audio": (REALTIME, b"", _append(1.0) * 10),
    "audio in frames": (BINARY, b"", frame(2, _noise(16_000, 0.02)) * 500),
    "pings": (REALTIME, b"", frame(9, b"x" * 125) * 2_000),
    "pieces without end": (BINARY, frame(2, b"\0", fin=False), frame(0, b"", fin=False) * 20_000),
    "updates": (REALTIME, b"", _event("session.update", session={"instructions": "Be brief."}) * 500),
    "garbage": (REALTIME, b"", frame(1, b"{") * 1_000),
    "many values": (REALTIME, b"", frame(1, b'{"type":"session.update","session":[' + b"[]," * 10**6 + b"0]}")),
    "single samples": (BINARY, b"", frame(2, b"\0\0") * 2_000),
    "not audio": (REALTIME, b"", _event("input_audio_buffer.append", audio="!" * 2**20)),
    "half a message": (BINARY, bytes([0x82, 0x80 | 127]) + struct.pack(">Q", 4 * 2**20 - 2) + bytes(2**21), b""),
}
"""What kind of flood: the route, what is sent first, and then over and over."""


async def _dial(url: str, path: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    upgrade = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    key = base64.b64encode(os.urandom(16)).decode()
    writer.write(f"{upgrade}Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n".encode())
    await reader.readuntil(b"\r\n\r\n")
    return reader, writer


async def _flood(url: str, number: int, duty: Duty) -> None:
    """Sends as fast as it may, and reads only to notice that it is thrown out."""
    path, first, over_and_over = [*FLOODS.values()][number % len(FLOODS)]
    reader, writer = await _dial(url, path)
    try:
        writer.write(first)
        reading = asyncio.create_task(_read_on(reader))
        while not reading.done():
            writer.write(over_and_over)
            async with asyncio.timeout(_PATIENCE_S):
                await writer.drain()
            await duty.rest()
    finally:
        writer.transport.abort()


async def _read_on(reader: asyncio.StreamReader) -> None:
    with suppress(OSError):
        while await reader.read(2**16):
            pass


async def _read_slowly(url: str, number: int, duty: Duty) -> None:
    """Asks for more than it reads."""
    reader, writer = await _dial(url, REALTIME)
    try:
        writer.write(_event("conversation.item.create", item=_LONG_ITEM))
        while not reader.at_eof():
            writer.write(_event("conversation.item.retrieve", item_id="long") * 5)
            await asyncio.wait_for(reader.read(100), 60.0)
            await asyncio.sleep(_TRICKLE_S)
            await duty.rest()
    finally:
        writer.transport.abort()


async def _idle(url: str, number: int, duty: Duty) -> None:
    """Comes in, and says nothing."""
    async with connect(f"{url}{(REALTIME, BINARY)[number % 2]}", proxy=None, compression=None) as websocket:
        async for _ in websocket:
            pass


async def _linger(url: str, number: int, duty: Duty) -> None:
    """Never comes to the end of its request."""
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    try:
        writer.write(b"GET /v1/realtime HTTP/1.1\r\nHost: localhost\r\n")
        await reader.read()
        await duty.rest()
    finally:
        writer.transport.abort()


KINDS: Mapping[str, Callable[[str, int, Duty], Awaitable[None]]] = {
    "idle": _idle,
    "slow": _read_slowly,
    "flood": _flood,
    "linger": _linger,
}


async def _besiege(kind: str, url: str, count: int, duty: Duty) -> None:
    async def attack(number: int) -> None:
        await asyncio.sleep(number * 2.0 / count)
        while True:
            with suppress(OSError, EOFError, ConnectionClosed, InvalidHandshake, TimeoutError):
                await KINDS[kind](url, number, duty)
            await duty.rest()

    async with asyncio.TaskGroup() as tasks:
        for number in range(count):
            tasks.create_task(attack(number))


@click.command()
@click.argument("kind", type=click.Choice([*KINDS, "nothing"]))
@click.option("--url", default="ws://127.0.0.1:8080")
@click.option("--count", default=20, type=click.IntRange(1))
@click.option("--share", default=0.2, help="Of a core, for all of them together.")
def main(kind: str, url: str, count: int, share: float) -> None:
    """Attack a server until killed; `nothing` takes the same share of a core and leaves the server alone."""
    os.setpriority(os.PRIO_PROCESS, 0, 19)
    if kind == "nothing":
        began_s = time.monotonic()
        while True:
            if time.process_time() > (time.monotonic() - began_s) * share:
                time.sleep(0.005)
    asyncio.run(_besiege(kind, url, count, Duty(share)))


if __name__ == "__main__":
    main()
