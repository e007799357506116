"""The Realtime client against scripted servers on a real loopback socket."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.asyncio.server import ServerConnection, serve

from client.connection import DisconnectedError, UnavailableError
from client.events import Failed, Heard, ReplyAudio, ReplyEnded, ServerEvent, SpeechStarted, SpeechStopped, Spoken
from client.realtime import ProtocolError, RealtimeClient, parse_event, realtime_url

Script = Callable[[ServerConnection], Awaitable[None]]


def updated(output_format: object) -> str:
    """A session whose replies come in this format."""
    return json.dumps({"type": "session.updated", "session": {"audio": {"output": {"format": output_format}}}})


@asynccontextmanager
async def server(script: Script, *, opens: bool = True) -> AsyncIterator[str]:
    """A server that opens a session and then does what the script says."""

    async def handle(websocket: ServerConnection) -> None:
        await websocket.send(json.dumps({"type": "session.created"}))
        if opens:
            websocket.session = json.loads(await websocket.recv())  # type: ignore[attr-defined]  # for the script to see
            await websocket.send(json.dumps({"type": "session.updated"}))
        await script(websocket)

    async with serve(handle, "127.0.0.1", 0) as listening:
        yield f"ws://127.0.0.1:{next(iter(listening.sockets)).getsockname()[1]}"


async def everything_said_by(script: Script) -> list[ServerEvent]:
    async with server(script) as url, RealtimeClient(url) as client:
        return [event async for event in client.events()]


async def say_nothing(_websocket: ServerConnection) -> None:
    """Hang up politely."""


@pytest.mark.asyncio
@pytest.mark.parametrize(("language", "transcription"), [("fr", {"language": "fr"}), ("auto", {})])
async def test_the_session_names_formats_and_language(language: str, transcription: dict[str, str]) -> None:
    seen: list[Any] = []

    async def look(websocket: ServerConnection) -> None:
        seen.extend([websocket.session, websocket.request])  # type: ignore[attr-defined]  # set above

    async with server(look) as url, RealtimeClient(url, language=language, token="".join("key")) as client:
        assert [event async for event in client.events()] == []
    update, request = seen
    assert update["type"] == "session.update"
    assert update["session"]["audio"]["input"]["transcription"] == transcription
    assert update["session"]["audio"]["input"]["format"] == {"type": "audio/pcm", "rate": 24000}
    assert request.path == "/v1/realtime?model=s2s-gate"
    assert request.headers["Authorization"] == "Bearer key"


@pytest.mark.asyncio
async def test_a_conversation() -> None:
    async def answer(websocket: ServerConnection) -> None:
        append = json.loads(await websocket.recv())
        for event in (
            {"type": "conversation.item.input_audio_transcription.completed", "transcript": "hello"},
            {"type": "response.created", "response": {}},
            {"type": "response.output_audio_transcript.delta", "delta": "Hi."},
            {"type": "response.output_audio.delta", "delta": append["audio"]},
            {"type": "response.done", "response": {"status": "completed", "trace": {"pause_s": 1, "bad": "x"}}},
        ):
            await websocket.send(json.dumps(event))

    async with server(answer) as url, RealtimeClient(url) as client:
        await client.send(b"\x01\x02")
        assert [event async for event in client.events()] == [
            Heard("hello"),
            Spoken("Hi."),
            ReplyAudio(b"\x01\x02"),
            ReplyEnded({"pause_s": 1.0}),
        ]
        with pytest.raises(DisconnectedError):
            await client.send(b"\0\0")


@pytest.mark.asyncio
async def test_garbage_is_a_failure_each_time_and_the_conversation_goes_on() -> None:
    async def babble(websocket: ServerConnection) -> None:
        for message in ("{", "[]", '{"type": 7}', "[" * 100_000, b"\0\1", '{"type": "response.output_audio.delta"}'):
            await websocket.send(message)
        await websocket.send(json.dumps({"type": "response.output_audio_transcript.delta", "delta": "still here"}))

    *failures, last = await everything_said_by(babble)
    assert len(failures) == 6
    assert all(isinstance(event, Failed) for event in failures)
    assert last == Spoken("still here")


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("code", "reason", "told"), [(1011, "out of memory", "code 1011: out of memory"), (4000, "", "no reason given")]
)
async def test_a_close_code_is_told(code: int, reason: str, told: str) -> None:
    (failure,) = await everything_said_by(lambda websocket: websocket.close(code, reason))
    assert isinstance(failure, Failed)
    assert told in failure.reason


@pytest.mark.asyncio
async def test_a_connection_that_breaks_is_told() -> None:
    async def die(websocket: ServerConnection) -> None:
        websocket.transport.abort()

    (failure,) = await everything_said_by(die)
    assert isinstance(failure, Failed)
    assert "without a close frame" in failure.reason


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("first", "told"),
    [
        ('{"type": "error", "error": {"code": "no_such_language", "message": "speak French"}}', "speak French"),
        ("nonsense", "does not speak the Realtime protocol"),
        (b"\0\0", "does not speak the Realtime protocol"),
        (updated({"type": "audio/pcm", "rate": 16_000}), 'will answer in {"type": "audio/pcm", "rate": 16000}'),
        (updated({"type": "audio/pcmu", "rate": 8_000}), "will answer in"),
    ],
)
async def test_a_refused_session_is_unavailable(first: str | bytes, told: str) -> None:
    async def refuse(websocket: ServerConnection) -> None:
        await websocket.send(first)
        await websocket.wait_closed()

    async with server(refuse, opens=False) as url:
        with pytest.raises(UnavailableError, match=told):
            await RealtimeClient(url).__aenter__()


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "told", [{"type": "audio/pcm", "rate": 24_000, "more": 1}, {"type": "audio/pcm"}, "pcm16", None]
)
async def test_a_format_that_is_the_one_asked_for_or_is_not_told_will_do(told: object) -> None:
    async def open_session(websocket: ServerConnection) -> None:
        await websocket.send(updated(told))
        await websocket.wait_closed()

    async with server(open_session, opens=False) as url, RealtimeClient(url) as client:
        await client.send(b"")


@pytest.mark.asyncio
async def test_a_server_that_hangs_up_before_the_session_is_unavailable() -> None:
    async with server(say_nothing, opens=False) as url:
        with pytest.raises(UnavailableError, match="gave no session"):
            await RealtimeClient(url).__aenter__()


@pytest.mark.parametrize(
    ("url", "dialled"),
    [
        ("ws://h:1", "ws://h:1/v1/realtime?model=s2s-gate"),
        ("http://h/", "ws://h/v1/realtime?model=s2s-gate"),
        ("wss://h/v1/realtime?model=m", "wss://h/v1/realtime?model=m"),
        ("wss://h/openai/v1/realtime?a=b", "wss://h/openai/v1/realtime?a=b&model=s2s-gate"),
    ],
)
def test_the_address_is_completed(url: str, dialled: str) -> None:
    assert realtime_url(url) == dialled


@pytest.mark.asyncio
async def test_what_was_heard_of_a_reply_is_told() -> None:
    told: list[Any] = []

    async def take(websocket: ServerConnection) -> None:
        told.append(json.loads(await websocket.recv()))

    async with server(take) as url, RealtimeClient(url) as client:
        await client.truncate("item_1", 980)
        assert [event async for event in client.events()] == []
    truncation = {"item_id": "item_1", "content_index": 0, "audio_end_ms": 980}
    assert told == [{"type": "conversation.item.truncate", **truncation}]


@pytest.mark.parametrize(("told", "at_s"), [(1500, 1.5), (None, None), ("x", None), (1e300, None), (True, None)])
def test_who_speaks_is_told(told: object, at_s: float | None) -> None:
    assert parse_event('{"type": "input_audio_buffer.speech_started"}') == [SpeechStarted()]
    stopped = json.dumps({"type": "input_audio_buffer.speech_stopped", "audio_end_ms": told})
    assert parse_event(stopped) == [SpeechStopped(at_s)]


def test_audio_has_the_name_of_its_item() -> None:
    message = json.dumps({"type": "response.output_audio.delta", "delta": "", "item_id": "item_1"})
    assert parse_event(message) == [ReplyAudio(b"", "item_1")]


@pytest.mark.parametrize("status", ["completed", "cancelled", "incomplete", None])
def test_response_done_ends_the_reply(status: str | None) -> None:
    message = json.dumps({"type": "response.done", "response": {"status": status}})
    assert parse_event(message) == [ReplyEnded(None, cancelled=status == "cancelled")]


def test_a_failed_reply_is_told_before_its_end() -> None:
    details = {"type": "failed", "error": {"type": "server_error", "code": "tts", "message": "no voice"}}
    message = json.dumps({"type": "response.done", "response": {"status": "failed", "status_details": details}})
    assert parse_event(message) == [Failed("the reply failed: tts: no voice"), ReplyEnded()]


@given(pcm=st.binary(max_size=200))
def test_audio_arrives_byte_for_byte(pcm: bytes) -> None:
    message = json.dumps({"type": "response.output_audio.delta", "delta": base64.b64encode(pcm).decode()})
    assert parse_event(message) == [ReplyAudio(pcm)]


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
TYPES = st.sampled_from(
    [
        "input_audio_buffer.speech_started",
        "input_audio_buffer.speech_stopped",
        "response.output_audio.delta",
        "response.output_audio_transcript.delta",
        "conversation.item.input_audio_transcription.completed",
        "conversation.item.input_audio_transcription.failed",
        "response.done",
        "error",
        "something.new",
    ]
)
FIELDS = st.sampled_from(
    ["audio_end_ms", "item_id", "delta", "transcript", "error", "response", "status", "trace", "status_details"]
)
EVENTS = st.builds(
    lambda kind, fields, response: json.dumps({**fields, "response": response, "type": kind}),
    TYPES,
    st.dictionaries(FIELDS, JSON_VALUES),
    JSON_VALUES | st.dictionaries(FIELDS, JSON_VALUES),
)


@given(message=EVENTS | st.text() | st.binary() | JSON_VALUES.map(json.dumps))
def test_whatever_comes_is_an_event_or_a_protocol_error(message: str | bytes) -> None:
    try:
        events = parse_event(message)
    except ProtocolError:
        return
    assert all(isinstance(event, ServerEvent) for event in events)
