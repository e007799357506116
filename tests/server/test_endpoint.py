"""The binary protocol: frames of the client's block, paced as they are played, `DONE` when the last has been."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed, InvalidStatus

from pipeline.audio import FloatArray
from pipeline.conversation import Conversation
from pipeline.events import Event, ReplyAudio, ReplyDone, ReplyStarted
from pipeline.languages import Language
from pipeline.testing import Script, scripted_engine
from server.endpoint import CUSHION_S, DONE, Clock, EndpointConnection, Loudspeaker

REPLY = "Hi there."
REPLY_BYTES = 2 * 16_000 * 0.05 * len(REPLY)
DONE_EVENT = ReplyDone(1, 1, "completed", REPLY, Language.EN)


@dataclass
class Wire:
    """The socket's place: messages to hear, and what was sent with the time of it."""

    clock: Any
    to_hear: list[bytes | str] = field(default_factory=list)
    sent: list[tuple[float, bytes]] = field(default_factory=list)

    async def send(self, message: bytes) -> None:
        self.sent.append((self.clock.now(), message))

    async def __aiter__(self) -> AsyncIterator[bytes | str]:
        for message in self.to_hear:
            yield message


@dataclass
class ScriptedConversation:
    script: list[Event] = field(default_factory=list)
    fed: list[FloatArray] = field(default_factory=list)

    async def feed(self, samples_16k: FloatArray) -> None:
        self.fed.append(samples_16k)

    async def events(self) -> AsyncIterator[Event]:
        for event in self.script:
            yield event
        await asyncio.Event().wait()


def loudspeaker(wire: Wire) -> Loudspeaker:
    return Loudspeaker(cast(ServerConnection, wire), Clock(wire.clock.now, wire.clock.sleep))


def tone(seconds: float) -> FloatArray:
    return (0.1 * np.sin(2 * np.pi * 220 * np.arange(round(seconds * 24_000)) / 24_000)).astype(np.float32)


async def ask(websocket: ClientConnection, pcm: bytes, block: int) -> list[bytes]:
    """Ask, then poll with an empty message for every frame that comes; the frames up to `DONE`."""
    for start in range(0, len(pcm), 2 * block):
        await websocket.send(pcm[start : start + 2 * block])
    frames = []
    async with asyncio.timeout(20):
        while (frame := await websocket.recv()) != DONE:
            assert isinstance(frame, bytes)
            frames.append(frame)
            await websocket.send(b"")
    return frames


@pytest.mark.asyncio
@pytest.mark.parametrize("block", [512, 1024, 160])
async def test_three_questions_in_a_row_on_one_connection(
    running: Any, question: Any, instant_clock: Any, block: int
) -> None:
    pcm = question(16_000)
    pcm = pcm[: len(pcm) // (2 * block) * 2 * block]
    engine = scripted_engine(Script(reply=lambda messages: REPLY))
    async with running(engine, clock=instant_clock) as server, connect(f"ws://127.0.0.1:{server.port}/ws") as websocket:
        for _ in range(3):
            frames = await ask(websocket, pcm, block)
            assert all(len(frame) == 2 * block for frame in frames[:-1])
            assert len(frames[-1]) <= 2 * block
            assert sum(map(len, frames)) == pytest.approx(REPLY_BYTES, abs=8)


@pytest.mark.asyncio
async def test_frames_leave_as_they_are_played_and_done_when_the_last_has_been_for_certain(instant_clock: Any) -> None:
    wire = Wire(instant_clock)
    speaker = loudspeaker(wire)
    speaker.begin()
    await speaker.play(tone(1.0))
    await speaker.finish()
    *frames, (done_at_s, done) = wire.sent
    assert done == DONE
    assert done_at_s == pytest.approx((len(frames) + 1) * 512 / 16_000 + CUSHION_S)
    for index, (sent_at_s, _) in enumerate(frames):
        assert index * 512 / 16_000 - sent_at_s <= CUSHION_S + 1e-9


@pytest.mark.asyncio
async def test_after_a_gap_the_frames_are_paced_anew(instant_clock: Any) -> None:
    wire = Wire(instant_clock)
    speaker = loudspeaker(wire)
    speaker.begin()
    await speaker.play(tone(0.5))
    instant_clock.at_s = 10.0
    await speaker.play(tone(0.5))
    await speaker.finish()
    late = [sent_at_s for sent_at_s, frame in wire.sent if sent_at_s >= 10.0 and frame != DONE]
    assert max(late) == pytest.approx(10.0 + (len(late) - 1) * 512 / 16_000 - CUSHION_S, abs=0.04)
    assert wire.sent[-1][0] == pytest.approx(10.0 + (len(late) + 1) * 512 / 16_000 + CUSHION_S)


@pytest.mark.asyncio
async def test_a_reply_without_sound_needs_no_done(instant_clock: Any) -> None:
    wire = Wire(instant_clock)
    speaker = loudspeaker(wire)
    speaker.begin()
    await speaker.finish()
    assert wire.sent == []


@given(st.lists(st.integers(-32_768, 32_767), max_size=64), st.integers(1, 40))
def test_no_audio_frame_is_odd_or_reads_done(levels: list[int], block: int) -> None:
    # `DO` and `NE`, little-endian: the two samples that would be taken for the end.
    samples = np.array([0x4F44, 0x454E, *levels], dtype=np.float32) / 32_768
    instant = _InstantClock()
    wire = Wire(instant)
    speaker = loudspeaker(wire)
    speaker.block = block
    speaker._resampler = cast(Any, _Untouched())
    asyncio.run(_say(speaker, samples))
    *frames, (_, done) = wire.sent
    assert done == DONE
    assert all(frame != DONE and len(frame) % 2 == 0 and len(frame) <= 2 * block for _, frame in frames)


class _InstantClock:
    at_s = 0.0

    def now(self) -> float:
        return self.at_s

    async def sleep(self, seconds: float) -> None:
        self.at_s += seconds


class _Untouched:
    def push(self, samples: FloatArray, *, last: bool = False) -> FloatArray:
        return samples


async def _say(speaker: Loudspeaker, samples: FloatArray) -> None:
    await speaker.play(samples)
    await speaker.finish()


@pytest.mark.asyncio
async def test_a_microphone_that_is_open_while_a_reply_plays_is_heard_as_silence() -> None:
    clock = _HeldClock()
    loud = (np.full(512, 8_000, "<i2")).tobytes()
    wire = Wire(clock)
    conversation = ScriptedConversation(
        [ReplyStarted(1, 1, Language.EN, message=2), ReplyAudio(1, tone(1.0)), DONE_EVENT]
    )
    connection = EndpointConnection(
        cast(ServerConnection, wire), cast(Conversation, conversation), Clock(clock.now, clock.sleep)
    )
    await connection._feed(loud)
    telling = asyncio.create_task(connection._tell())
    await clock.waited_for.wait()
    await connection._feed(loud)
    clock.held.set()
    while wire.sent[-1][1] != DONE:
        await asyncio.sleep(0)
    await connection._feed(loud)
    telling.cancel()
    assert [bool(samples.any()) for samples in conversation.fed] == [True, False, True]
    assert [samples.size for samples in conversation.fed] == [512, 512, 512]


class _HeldClock(_InstantClock):
    """Stands still until it is let go."""

    def __init__(self) -> None:
        self.held = asyncio.Event()
        self.waited_for = asyncio.Event()

    async def sleep(self, seconds: float) -> None:
        self.waited_for.set()
        await self.held.wait()
        self.at_s += seconds


@pytest.mark.asyncio
async def test_empty_messages_add_no_audio(instant_clock: Any) -> None:
    conversation = ScriptedConversation()
    wire = Wire(instant_clock, to_hear=[b"", b"\1\0" * 512, b"", b""])
    connection = EndpointConnection(
        cast(ServerConnection, wire), cast(Conversation, conversation), Clock(instant_clock.now, instant_clock.sleep)
    )
    await connection.run()
    assert [samples.size for samples in conversation.fed] == [512]


@pytest.mark.asyncio
@pytest.mark.parametrize(("message", "code", "says"), [("hello", 1003, "binary"), (b"abc", 1007, "even count")])
async def test_what_is_not_audio_is_closed_with_a_reason(running: Any, message: Any, code: int, says: str) -> None:
    async with running() as server, connect(f"ws://127.0.0.1:{server.port}/ws") as websocket:
        await websocket.send(message)
        with pytest.raises(ConnectionClosed) as closed:
            await websocket.recv()
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == code
    assert says in closed.value.rcvd.reason


@pytest.mark.asyncio
async def test_an_unknown_language_is_refused_with_the_choices(running: Any) -> None:
    async with running() as server:
        with pytest.raises(InvalidStatus) as refused:
            await connect(f"ws://127.0.0.1:{server.port}/ws?language=de").__aenter__()
    assert refused.value.response.status_code == 400
    assert b"en, fr, es, zh, ja, ko, auto" in refused.value.response.body


@pytest.mark.asyncio
async def test_the_language_of_the_url_is_spoken(running: Any, question: Any, instant_clock: Any) -> None:
    prompts: list[str] = []

    def reply(messages: Any) -> str:
        prompts.append(messages[0].text)
        return REPLY

    async with (
        running(scripted_engine(Script(reply=reply)), clock=instant_clock) as server,
        connect(f"ws://127.0.0.1:{server.port}//ws?language=fr&voice=none-such") as websocket,
    ):
        await ask(websocket, question(16_000), 512)
    assert prompts == ["Tu es un assistant vocal aimable. Réponds en une ou deux phrases courtes."]
