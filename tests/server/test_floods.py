"""Clients that send what no conversation needs: each is bounded, told by name, and counted."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from pipeline.testing import Prompts, Script, scripted_engine
from server.app import Server
from server.call import Call
from server.limits import Limits

ROUTES = ["/v1/realtime", "/ws"]
FEW_FRAMES = Limits(frames_at_once=50, frames_per_s=0.001)
FEW_EVENTS = Limits(events_at_once=5, events_per_s=0.001, refused_events=5)


async def hit(server: Server, limit: str) -> int:
    async with httpx.AsyncClient() as client:
        text = (await client.get(f"http://127.0.0.1:{server.port}/metrics")).text
    (count,) = [
        line.split()[1] for line in text.splitlines() if line.startswith(f's2s_limits_hit_total{{limit="{limit}"}}')
    ]
    return int(float(count))


async def end_of(websocket: ClientConnection) -> tuple[int | None, str, list[str]]:
    """Close code and reason, and the codes of the errors before them."""
    codes = []
    with pytest.raises(ConnectionClosed) as closed:
        async with asyncio.timeout(20):
            while True:
                message = json.loads(await websocket.recv())
                codes += [message["error"]["code"]] if message["type"] == "error" else []
    return (
        closed.value.rcvd.code if closed.value.rcvd else None,
        closed.value.rcvd.reason if closed.value.rcvd else "",
        codes,
    )


def masked(opcode: int, payload: bytes = b"", *, fin: bool = True) -> bytes:
    """One frame of a client, whose mask is nothing."""
    assert len(payload) < 126
    return bytes([fin << 7 | opcode, 0x80 | len(payload)]) + bytes(4) + payload


PINGS = masked(9, b"x" * 125) * 100
PONGS = masked(10) * 100
MESSAGES = masked(2, b"{}") * 100
A_MESSAGE_WITHOUT_END = masked(2, b"\0", fin=False) + masked(0, fin=False) * 100


@pytest.mark.asyncio
@pytest.mark.parametrize("path", ROUTES)
@pytest.mark.parametrize(
    "frames", [PINGS, PONGS, MESSAGES, A_MESSAGE_WITHOUT_END], ids=["pings", "pongs", "messages", "pieces"]
)
async def test_frames(running: Any, path: str, frames: bytes) -> None:
    async with running(limits=FEW_FRAMES) as server:
        async with connect(f"ws://127.0.0.1:{server.port}{path}") as websocket:
            websocket.transport.write(frames)
            code, reason, errors = await end_of(websocket)
        assert code == 1008
        assert "frames are ahead of the clock" in reason
        if path == "/v1/realtime":
            assert errors[-1] == "rate_limit_exceeded"
        assert await hit(server, "frames") == 1


@pytest.mark.asyncio
async def test_what_comes_after_too_many_frames_is_not_even_read(running: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    read = 0

    def process_event(call: Call, event: Any) -> None:
        nonlocal read
        read += 1
        process(call, event)

    process = Call.process_event
    monkeypatch.setattr(Call, "process_event", process_event)
    async with running(limits=FEW_FRAMES) as server:
        async with connect(f"ws://127.0.0.1:{server.port}/ws") as websocket:
            websocket.transport.write(masked(10) * 100_000)
            assert (await end_of(websocket))[0] == 1008
        assert read < 50 + 1024


@pytest.mark.asyncio
async def test_a_recording_in_frames_of_20_ms_is_not_a_flood(running: Any) -> None:
    longest_s = (Limits().frames_at_once - 1) * 0.02
    assert longest_s > 90
    async with running(limits=Limits(frames_at_once=Limits().frames_at_once // 10)) as server:
        async with connect(f"ws://127.0.0.1:{server.port}/ws") as websocket:
            for _ in range(round(longest_s / 10 / 0.02) - 1):
                await websocket.send(bytes(640))
            await (await websocket.ping())
        assert await hit(server, "frames") == 0


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("limits", "event"),
    [
        (Limits(event_bytes=1_000), {"type": "session.update", "session": {"instructions": "x" * 2_000}}),
        (Limits(event_bytes=1_000), {"type": "conversation.item.create", "item": {"content": [{}] * 600}}),
        (Limits(event_parts=500), {"type": "session.update", "session": {"noise_reduction": [[]] * 600}}),
    ],
    ids=["long", "long, of many values", "of many values"],
)
async def test_event(running: Any, talk: Any, question: Any, limits: Limits, event: dict[str, Any]) -> None:
    async with running(limits=limits) as server, talk(server) as talker:
        await talker.websocket.send(json.dumps(event))
        error = (await talker.until("error"))["error"]
        assert error["code"] == "event_too_large"
        assert "send less" in error["message"]
        assert await hit(server, "event") == 1
        await talker.append(question(24_000))  # which is audio, and longer
        assert (await talker.until("response.done"))["response"]["status"] == "completed"


@pytest.mark.asyncio
async def test_events_are_refused_and_audio_is_not_then_it_is_too_much(running: Any, talk: Any) -> None:
    async with running(limits=FEW_EVENTS) as server, talk(server) as talker:
        for number in range(6):
            await talker.send("session.update", event_id=f"{number}", session={"instructions": f"{number}"})
        refused = (await talker.until("error"))["error"]
        assert (refused["code"], refused["event_id"]) == ("rate_limit_exceeded", "5")
        assert "send fewer" in refused["message"]
        assert [event["session"]["instructions"] for event in talker.of("session.updated")] == list("01234")
        await talker.ask()
        assert (await talker.until("response.done"))["response"]["status"] == "completed"
        for _ in range(5):
            await talker.send("input_audio_buffer.clear")
        code, reason, errors = await end_of(talker.websocket)
        assert code == 1008
        assert "more keeps coming" in reason
        assert errors == ["rate_limit_exceeded"] * 5
        assert await hit(server, "events") == 6


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "garbage",
    [
        "{",
        '{"type": "input_audio_buffer.append", "audio": "!"}',
        '{"type": "conversation.item.retrieve", "item_id": "x"}',
    ],
    ids=["not JSON", "not audio", "of nothing"],
)
async def test_events_that_are_no_good_count_as_well(running: Any, talk: Any, garbage: str) -> None:
    async with running(limits=FEW_EVENTS) as server, talk(server) as talker:
        for _ in range(20):
            await talker.websocket.send(garbage)
        assert (await end_of(talker.websocket))[0] == 1008


@pytest.mark.asyncio
async def test_a_long_event_counts_as_several(running: Any, talk: Any) -> None:
    async with running(limits=FEW_EVENTS) as server, talk(server) as talker:
        await talker.send("session.update", session={"instructions": "x" * 5 * 4096})
        assert (await talker.until("error"))["error"]["code"] == "rate_limit_exceeded"


def message(text: str) -> dict[str, Any]:
    return {"type": "message", "id": text[:8], "role": "user", "content": [{"type": "input_text", "text": text}]}


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("limits", "texts"),
    [(Limits(items=2), ["one", "two", "three"]), (Limits(items_bytes=1_000), ["one" * 150, "two" * 50, "three" * 50])],
    ids=["many", "long"],
)
async def test_items_the_oldest_goes_and_is_forgotten(
    running: Any, talk: Any, limits: Limits, texts: list[str]
) -> None:
    prompts = Prompts("Yes.")
    async with running(scripted_engine(Script(reply=prompts)), limits=limits) as server, talk(server) as talker:
        for text in texts:
            await talker.send("conversation.item.create", item=message(text))
        assert (await talker.until("conversation.item.deleted"))["item_id"] == texts[0][:8]
        await talker.send("conversation.item.retrieve", item_id=texts[0][:8])
        assert (await talker.until("error"))["error"]["code"] == "item_retrieve_invalid_item_id"
        assert await hit(server, "items") == 1
        await talker.send("response.create")
        await talker.until("response.done")
    assert prompts.last() == [("user", text) for text in texts[1:]]


@pytest.mark.asyncio
async def test_items_of_what_is_said_are_bounded_too(running: Any, talk: Any) -> None:
    async with running(limits=Limits(items=3)) as server, talk(server) as talker:
        for _ in range(3):
            await talker.ask()
            await talker.until("response.done")
        deleted = [event["item_id"] for event in talker.of("conversation.item.deleted")]
        assert deleted == [event["item"]["id"] for event in talker.of("conversation.item.added")][: len(deleted)]
        assert len(deleted) == 3


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "tools",
    [
        [{"type": "function", "name": f"tool_{number}"} for number in range(129)],
        [{"type": "function", "name": "long", "description": "x" * 2**16}],
    ],
    ids=["many", "long"],
)
async def test_tools(running: Any, talk: Any, tools: list[dict[str, Any]]) -> None:
    async with running() as server, talk(server) as talker:
        await talker.send("session.update", session={"tools": tools})
        error = (await talker.until("error"))["error"]
        assert (error["code"], error["param"]) == ("too_many_tools", "session.tools")
        assert await hit(server, "tools") == 1


@pytest.mark.asyncio
async def test_responses(running: Any, talk: Any) -> None:
    async with running(scripted_engine(Script(thinking_s=600.0))) as server, talk(server) as talker:
        for _ in range(5):
            await talker.send("response.create", response={"conversation": "none"})
        assert (await talker.until("error"))["error"]["code"] == "too_many_responses"
        assert await hit(server, "responses") == 1


@pytest.mark.asyncio
async def test_uncommitted(running: Any, talk: Any) -> None:
    async with running(limits=Limits(audio_ahead_s=600.0)) as server, talk(server) as talker:
        await talker.update(audio={"input": {"turn_detection": None}})
        for _ in range(4):
            await talker.append(bytes(2 * 24_000 * 20))
        assert (await talker.until("error"))["error"]["code"] == "input_audio_buffer_full"
        assert await hit(server, "uncommitted") == 1


@pytest.mark.asyncio
async def test_pending_the_connection_that_has_waited_longest_is_cut(running: Any, talk: Any) -> None:
    async with running(limits=Limits(pending=3)) as server:
        waiting = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(3)]
        async with talk(server), talk(server):  # who comes in gives their place back
            assert await waiting[0][0].read() == b""
            assert await hit(server, "pending") >= 1
            for _, writer in waiting:
                writer.close()


@pytest.mark.asyncio
@pytest.mark.parametrize("path", ROUTES)
async def test_what_waits_for_a_busy_conversation_is_bounded_in_bytes(
    running: Any, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    serving = asyncio.Event()
    calls: list[Call] = []

    async def hold(call: Call, conversing: Any) -> None:
        calls.append(call)
        await serving.wait()
        await holding(call, conversing)

    holding = Call.hold
    monkeypatch.setattr(Call, "hold", hold)
    limits = Limits(frame_bytes=2**20, waiting_bytes=2**20, events_at_once=10_000)
    async with (
        running(limits=limits) as server,
        connect(f"ws://127.0.0.1:{server.port}{path}", max_size=None) as websocket,
    ):
        sending = asyncio.create_task(send_until_closed(websocket, bytes(2**20 - 2), 20))
        async with asyncio.timeout(20):
            while not calls or calls[0].transport.is_reading() or _waiting_bytes(calls[0]) <= 2**20:
                await asyncio.sleep(0.01)
        await asyncio.sleep(0.1)  # for what might come all the same
        assert _waiting_bytes(calls[0]) <= 3 * 2**20
        serving.set()
        await sending  # it is read on when there is room again
        websocket.transport.abort()


def _waiting_bytes(call: Call) -> int:
    return sum(len(frame.data) for frame in call.recv_messages.frames.queue)


async def send_until_closed(websocket: ClientConnection, data: bytes, times: int) -> None:
    try:
        for _ in range(times):
            await websocket.send(data)
    except ConnectionClosed:
        pass


@pytest.mark.asyncio
async def test_a_message_in_pieces_may_be_longer_than_what_may_wait(running: Any, talk: Any) -> None:
    async with running(limits=Limits(waiting_bytes=1_000)) as server, talk(server) as talker:
        event = json.dumps({"type": "session.update", "session": {"instructions": "x" * 10_000}})
        await talker.websocket.send(event[start : start + 500] for start in range(0, len(event), 500))
        assert len((await talker.until("session.updated"))["session"]["instructions"]) == 10_000


@pytest.mark.asyncio
async def test_compressed_frames_are_refused_whatever_they_would_grow_to(running: Any) -> None:
    async with running() as server, connect(f"ws://127.0.0.1:{server.port}/ws") as websocket:
        websocket.transport.write(bytes([0x80 | 0x40 | 2, 0x80 | 2]) + bytes(4) + b"\0\0")
        assert (await end_of(websocket))[0] == 1002


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "request_line",
    [b"GET /v1/realtime?model=\xff\xfe HTTP/1.1", b"GET /v1/realtime?model=%ff%00%0d%0a HTTP/1.1"],
    ids=["bytes", "escapes"],
)
async def test_a_model_that_is_no_text_is_named_all_the_same(running: Any, request_line: bytes) -> None:
    upgrade = (
        b"Host: localhost", b"Upgrade: websocket", b"Connection: Upgrade", b"Sec-WebSocket-Version: 13",
        b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==", b"", b"",
    )  # fmt: skip  # a table, which is not seen with each entry in a line
    async with running() as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(b"\r\n".join([request_line, *upgrade]))
        assert b"101 " in await reader.readuntil(b"\r\n\r\n")
        assert b"session.created" in await reader.readuntil(b"max_output_tokens")
        writer.close()


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "event",
    [
        {"type": "conversation.item.retrieve", "item_id": "x" * 10_000},
        {"type": "response.cancel", "response_id": "x" * 10_000},
        {"type": "session.update", "event_id": "x" * 10_000, "session": {}},
        {"type": "y" * 10_000, "event_id": "x" * 10_000},
    ],
)
async def test_an_id_of_any_length_is_not_sent_back(running: Any, talk: Any, event: dict[str, Any]) -> None:
    async with running() as server, talk(server) as talker:
        await talker.websocket.send(json.dumps(event))
        assert len(json.dumps(await talker.until("error"))) < 1_000
