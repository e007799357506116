"""The reference server: each conversation does what its address asks for."""

from __future__ import annotations

import asyncio
import json
import math
from dataclasses import replace
from urllib.parse import urlsplit

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from client.play import Clock, LoopClock
from harness.jsonlines import LineError
from harness.reference.behaviour import Behaviour, parse_query
from harness.reference.manners import MannerlyServer
from harness.reference.protocols import Connection, Endpoint, Realtime, Wire
from harness.reference.script import Broken, Done, write

PROFILE = "reference"
PATHS: dict[str, type[Wire]] = {"/ws": Endpoint, "/v1/realtime": Realtime}

SENT_LATE = "sent_late_s"
"""In the trace beside the stages: how late, at most, what was said before had been handed to the system, seconds."""

_LOOK_AGAIN_S = 0.03
_SPIN_S = 0.002


class PunctualClock(LoopClock):
    """Real time to a tenth of a millisecond: the last two are not slept, because a timer may ring one too late."""

    async def sleep_until(self, at_s: float) -> None:
        await super().sleep_until(at_s - _SPIN_S)
        while self.now() < at_s:  # noqa: ASYNC110 - the time is what is waited for
            await asyncio.sleep(0)


class SampleClock:
    """When each sample of the question was recorded, by the frame that came the soonest of all so far."""

    def __init__(self, rate_hz: int) -> None:
        self._rate_hz = rate_hz
        self._received = 0
        self.frame = 0
        """Samples in a message."""
        self.origin_s = math.inf
        """When the first sample was recorded."""
        self.started = asyncio.Event()

    def take(self, samples: int, now_s: float) -> None:
        if not samples:
            return
        self.frame = self.frame or samples
        self._received += samples
        self.origin_s = min(self.origin_s, now_s - self._received / self._rate_hz)
        self.started.set()

    def whole_s(self, speech_end_s: float) -> float:
        """When the message that brings this moment of the question is whole, seconds since its first sample."""
        frames = math.ceil(speech_end_s * self._rate_hz / self.frame - 1e-6)
        return frames * self.frame / self._rate_hz


async def converse(connection: Connection, wire: Wire, behaviour: Behaviour, clock: Clock) -> Broken | None:
    """Hear a question and answer it, until the client leaves; what has to be done to the connection is returned."""
    await wire.open(connection, behaviour)
    heard = SampleClock(wire.rate_hz)
    manners = MannerlyServer(connection, wire, behaviour, clock) if behaviour.manners else None
    talk = manners.run() if manners else _answer(connection, wire, behaviour, clock, heard)
    answer = asyncio.create_task(talk, name="answer")
    listen = asyncio.create_task(_listen(connection, wire, clock, heard, manners), name="listen")
    try:
        done, _ = await asyncio.wait((answer, listen), return_when=asyncio.FIRST_COMPLETED)
        if answer in done and (end := answer.result()):
            return end
        await listen
    finally:
        answer.cancel()
        listen.cancel()
        await asyncio.wait((answer, listen))
    return None


async def _listen(
    connection: Connection, wire: Wire, clock: Clock, heard: SampleClock, manners: MannerlyServer | None
) -> None:
    try:
        while True:
            message, now_s = await connection.recv(), clock.now()
            pcm = wire.sound_in(message)
            heard.take(len(pcm) // 2, now_s)
            if manners:
                manners.hear(pcm)
    except ConnectionClosed:
        return


async def _answer(
    connection: Connection, wire: Wire, behaviour: Behaviour, clock: Clock, heard: SampleClock
) -> Broken | None:
    await heard.started.wait()
    end_of_speech_s = heard.whole_s(behaviour.speech_end_s)
    late_s = 0.0
    try:
        for after_s, said in write(behaviour, wire.rate_hz, end_of_speech_s):
            at_s = end_of_speech_s + after_s
            await clock.sleep_until(heard.origin_s + at_s - _LOOK_AGAIN_S)  # a sooner frame may come meanwhile
            if isinstance(said, Done):
                said = replace(said, trace=said.trace | {SENT_LATE: late_s})
            messages = wire.encode(said)  # beforehand: it takes a part of a millisecond
            await clock.sleep_until(heard.origin_s + at_s)
            if isinstance(said, Broken) and said.kind in ("hang-up", "close"):
                return said
            for message in messages:
                await connection.send(message)
            late_s = max(late_s, clock.now() - heard.origin_s - at_s)
    except ConnectionClosed:
        pass
    return None


async def start(host: str, port: int) -> Server:
    """Listen; port 0 takes a free one.

    Raises:
        OSError: the port is taken.
    """
    return await serve(_serve_one, host, port, process_request=_answer_http, compression=None)


async def _serve_one(connection: ServerConnection) -> None:
    assert connection.request is not None  # noqa: S101 - the handshake is over
    address = urlsplit(connection.request.path)
    wire = PATHS[address.path]()
    try:
        end = await converse(connection, wire, parse_query(address.query), PunctualClock())
    except LineError as error:
        await connection.close(1008, str(error)[:120])
        return
    except ConnectionClosed:
        return
    except (ValueError, KeyError, TypeError) as error:
        await connection.close(1002, f"not the protocol of {address.path}: {error}"[:120])
        return
    if end is not None and end.kind == "close":
        await connection.close(1011, "the model crashed")
    elif end is not None:
        connection.transport.abort()


def _answer_http(connection: ServerConnection, request: Request) -> Response | None:
    path = urlsplit(request.path).path
    if path == "/health":
        return connection.respond(200, json.dumps({"status": "ready", "profile": PROFILE}))
    return None if path in PATHS else connection.respond(404, f"paths: {', '.join(PATHS)}\n")
