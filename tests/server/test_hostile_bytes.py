"""Bytes on an open websocket that break its rules, or hide something in what keeps to them.

Each ends its sender's connection with the code of the rule, or is told by an `error`; the server does not fail at it.
"""

from __future__ import annotations

import asyncio
import base64
import json
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from server.app import Server

ROUTES = ["/v1/realtime", "/ws"]


def frame(opcode: int, payload: bytes = b"", *, fin: bool = True, claims: int | None = None) -> bytes:
    """One frame of a client, whose mask is nothing; `claims` is the length that its head tells."""
    length = len(payload) if claims is None else claims
    head = bytes([fin << 7 | opcode])
    if length < 126:
        head += bytes([0x80 | length])
    elif length < 2**16:
        head += b"\xfe" + struct.pack(">H", length)
    else:
        head += b"\xff" + struct.pack(">Q", length)
    return head + bytes(4) + payload


async def failures(server: Server) -> float:
    async with httpx.AsyncClient() as client:
        text = (await client.get(f"http://127.0.0.1:{server.port}/metrics")).text
    told = [line for line in text.splitlines() if line.startswith('s2s_errors_total{code="server_failed"}')]
    return sum(float(line.rpartition(" ")[2]) for line in told)


@asynccontextmanager
async def attacked(server: Server, path: str) -> AsyncIterator[ClientConnection]:
    """A connection for whatever; the server must be rid of it afterwards, and must not have failed."""
    websocket = await connect(f"ws://127.0.0.1:{server.port}{path}", max_size=None, ping_interval=None)
    try:
        yield websocket
    finally:
        websocket.transport.abort()
    async with asyncio.timeout(20):
        while server.sessions:
            await asyncio.sleep(0.01)
    assert await failures(server) == 0


async def close_code(websocket: ClientConnection) -> int | None:
    with pytest.raises(ConnectionClosed) as closed:
        async with asyncio.timeout(20):
            while True:
                await websocket.recv()
    return closed.value.rcvd.code if closed.value.rcvd else None


BROKEN = {
    "text that is no UTF-8": (frame(1, b"\xff\xfe"), 1007),
    "text that is a surrogate": (frame(1, b"\xed\xa0\x80"), 1007),
    "text that ends within a character, in pieces": (frame(1, b"\xf0\x9f", fin=False) + frame(0, b"\x92"), 1007),
    "a continuation of nothing": (frame(0, b"x"), 1002),
    "a message within a message": (frame(2, b"x", fin=False) + frame(2, b"x"), 1002),
    "a ping in pieces": (frame(9, b"x", fin=False), 1002),
    "a long ping": (frame(9, b"x" * 126), 1002),
    "an opcode that is reserved": (frame(3), 1002),
    "reserved bits": (bytes([0xF2, 0x80]) + bytes(4), 1002),
    "no mask": (b"\x82\x02xx", 1002),
    "a length of 2^63": (frame(2, claims=2**63), 1009),
    "a length of 2^62": (frame(2, claims=2**62), 1009),
    "pieces that claim 4 MiB each": (
        frame(2, b"x" * 10, fin=False) + frame(0, claims=4 * 2**20, fin=False), 1009,
    ),
    "a close of one byte": (frame(8, b"x"), 1002),
    "a close with a code that nobody sends": (frame(8, struct.pack(">H", 1005)), 1002),
    "a close whose reason is no UTF-8": (frame(8, struct.pack(">H", 1000) + b"\xff"), 1007),
}  # fmt: skip  # a table, which is not seen with each entry in a line


@pytest.mark.asyncio
@pytest.mark.parametrize("path", ROUTES)
@pytest.mark.parametrize(("sent", "code"), BROKEN.values(), ids=BROKEN.keys())
async def test_what_breaks_the_rules_ends_its_sender(running: Any, path: str, sent: bytes, code: int) -> None:
    async with running() as server, attacked(server, path) as websocket:
        websocket.transport.write(sent)
        assert await close_code(websocket) == code


@pytest.mark.asyncio
@pytest.mark.parametrize("path", ROUTES)
async def test_what_follows_a_close_is_nobodys(running: Any, path: str) -> None:
    async with running() as server, attacked(server, path) as websocket:
        websocket.transport.write(frame(8, struct.pack(">H", 1000)) + frame(1, b"{}") * 1_000 + frame(2, b"x") * 1_000)
        assert await close_code(websocket) == 1000


@pytest.mark.asyncio
@pytest.mark.parametrize("path", ROUTES)
@pytest.mark.parametrize("begun", [b"", frame(2, bytes(320), fin=False), frame(2, claims=1_000)[:5]])
async def test_who_hangs_up_by_half_is_let_go(running: Any, path: str, begun: bytes) -> None:
    async with running() as server, attacked(server, path) as websocket:
        websocket.transport.write(begun)
        websocket.transport.write_eof()
        async with asyncio.timeout(20):
            while server.sessions:
                await asyncio.sleep(0.01)


DEEP = 180
"""As deep as the JSON parser goes, about."""
LONG_NUMBER = "1" + "0" * 4_000
ODD = {
    "a deep array": ("[" * 5_000, "invalid_json"),
    "deep beyond the parser": (
        '{"type": "session.update", "session": ' + '{"a":' * 300 + "1" + "}" * 301,
        "invalid_json",
    ),
    "a lone surrogate": ('{"type": "response.cancel", "response_id": "\\ud800"}', "invalid_json"),
    "an infinity": ('{"type": "response.cancel", "event_id": 1e999}', "invalid_value"),
    "not a number": ('{"type": "response.cancel", "event_id": NaN}', "invalid_json"),
    "a long number": (
        f'{{"type": "conversation.item.truncate", "item_id": "x", "content_index": {LONG_NUMBER}, "audio_end_ms": 1}}',
        "item_truncate_invalid_item_id",
    ),
    "a longer one": ('{"type": ' + "9" * 100_000 + "}", "invalid_json"),
    "a number for a type": ('{"type": 1}', "unknown_event"),
    "an object for a type": ('{"type": {"type": "session.update"}}', "unknown_event"),
    "a type twice": ('{"type": "response.cancel", "type": "session.sing"}', "unknown_event"),
    "a byte order mark": ('\ufeff{"type": "response.cancel"}', "invalid_json"),
    "two objects": ('{"type": "response.cancel"}{"type": "response.cancel"}', "invalid_json"),
    "nothing": ("", "invalid_json"),
    "base64 of one character": ('{"type": "input_audio_buffer.append", "audio": "A"}', "invalid_audio"),
    "base64 of three": ('{"type": "input_audio_buffer.append", "audio": "AAA"}', "invalid_audio"),
    "base64 of half a sample": ('{"type": "input_audio_buffer.append", "audio": "AAAA"}', "invalid_audio"),
    "base64 with line ends": ('{"type": "input_audio_buffer.append", "audio": "AA==\\nAA=="}', "invalid_audio"),
    "base64 that is padded in its midst": (
        '{"type": "input_audio_buffer.append", "audio": "AA==AAA="}',
        "invalid_audio",
    ),
    "base64 of other letters": ('{"type": "input_audio_buffer.append", "audio": "ÄÖÜß"}', "invalid_audio"),
    "audio that is an array": ('{"type": "input_audio_buffer.append", "audio": [0, 0]}', "invalid_value"),
}


@pytest.mark.asyncio
@pytest.mark.parametrize(("sent", "code"), ODD.values(), ids=ODD.keys())
@pytest.mark.parametrize("form", [str, str.encode], ids=["text", "bytes"])
async def test_odd_events_are_told_and_the_connection_lives(
    running: Any, talk: Any, form: Any, sent: str, code: str
) -> None:
    async with running() as server, talk(server) as talker:
        await talker.websocket.send(form(sent))
        error = (await talker.until("error"))["error"]
        assert error["code"] == code, error
        assert len(json.dumps(error)) < 6_000
        await talker.ask()
        assert (await talker.until("response.done"))["response"]["status"] == "completed"
        assert await failures(server) == 0


@pytest.mark.asyncio
async def test_parameters_as_deep_as_json_may_be_are_told_back(running: Any, talk: Any) -> None:
    parameters = json.loads('{"a":' * DEEP + "1" + "}" * DEEP)
    tools = [{"type": "function", "name": "deep", "parameters": parameters}]
    async with running() as server, talk(server) as talker:
        assert (await talker.update(tools=tools))["tools"][0]["parameters"] == parameters
        await talker.update(instructions="again")
        await talker.ask()
        assert (await talker.until("response.done"))["response"]["status"] == "completed"
        assert await failures(server) == 0


@pytest.mark.asyncio
@pytest.mark.parametrize("number", ["1e999", "-1e999"])
async def test_a_number_beyond_any_is_not_told_back_as_what_json_does_not_have(
    running: Any, talk: Any, number: str
) -> None:
    tool = f'{{"type": "function", "name": "a", "parameters": {{"maximum": [{number}]}}}}'
    async with running() as server, talk(server) as talker:
        await talker.websocket.send(f'{{"type": "session.update", "session": {{"tools": [{tool}]}}}}')
        error = (await talker.until("error"))["error"]
        assert (error["code"], error["param"]) == ("invalid_value", "session.tools")
        assert (await talker.update())["tools"] == []


@pytest.mark.asyncio
async def test_a_language_or_a_voice_that_is_anything_at_all(running: Any, talk: Any) -> None:
    async with running() as server, talk(server) as talker:
        await talker.update(audio={"output": {"voice": "\0\u2028../../etc/passwd" * 1_000}})
        await talker.send("session.update", session={"audio": {"input": {"transcription": {"language": "\0\n" * 500}}}})
        assert (await talker.until("error"))["error"]["code"] == "invalid_value"
        await talker.ask()
        assert (await talker.until("response.done"))["response"]["status"] == "completed"
        assert await failures(server) == 0


@pytest.mark.asyncio
async def test_samples_at_the_ends_of_the_scale_are_heard(running: Any, talk: Any) -> None:
    square = struct.pack("<2h", -32_768, 32_767) * 12_000
    async with running() as server, talk(server) as talker:
        for form, audio in (
            ("audio/pcm", square),
            ("audio/pcmu", b"\x00\x80" * 8_000),
            ("audio/pcma", b"\x2a\xaa" * 8_000),
        ):
            rate = {"rate": 24_000} if form == "audio/pcm" else {}
            await talker.update(audio={"input": {"format": {"type": form, **rate}}})
            await talker.send("input_audio_buffer.append", audio=base64.b64encode(audio).decode())
        await talker.update(audio={"input": {"format": {"type": "audio/pcm", "rate": 24_000}}})
        await talker.ask()
        assert (await talker.until("response.done"))["response"]["status"] == "completed"
        assert await failures(server) == 0
