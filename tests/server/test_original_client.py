"""A client that was written from the protocol's description alone, as the original is, hears replies without gaps."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection

from harness import virtual_time
from pipeline.audio import FloatArray
from pipeline.conversation import Conversation
from pipeline.engine import Engine
from pipeline.languages import Language
from pipeline.testing import Script, scripted_engine
from server.endpoint import Clock, EndpointConnection, endpoint_settings
from tests.original_client import DONE, RATE_HZ, OriginalClient, Reply

CLIENTS = 10
BLOCKS = (512, 1_024)
WORDS = [f"{first}{second}n" for first in "bdfgklmprs" for second in "aio"]
EACH_CLIENTS = [WORDS[start : start + 3] for start in range(0, len(WORDS), 3)]
PITCHES_HZ = dict(zip(WORDS, range(220, 220 + 40 * len(WORDS), 40), strict=True))


def tone(pitch_hz: float, seconds: float) -> bytes:
    samples = 0.3 * np.sin(2 * np.pi * pitch_hz * np.arange(round(seconds * RATE_HZ)) / RATE_HZ)
    return np.rint(samples * 32_767).astype("<i2").tobytes()


def pitch_hz(samples: FloatArray) -> float:
    """The strongest, after what goes before the sound is cut off."""
    heard = samples[np.flatnonzero(np.abs(samples) > 0.01)[0] :][: RATE_HZ // 4]
    spectrum = np.abs(np.fft.rfft(heard * np.hanning(heard.size), 4 * RATE_HZ))
    return float(np.argmax(spectrum)) / 4


def word_at(pitch: float) -> str:
    return min(WORDS, key=lambda word: abs(PITCHES_HZ[word] - pitch))


def singing_engine(**script: Any) -> Engine:
    """Hears a tone as a word, and says that word in its tone, long enough to be played for a while."""
    return scripted_engine(
        Script(
            heard=lambda samples: word_at(pitch_hz(samples)),
            reply=lambda messages: " ".join([messages[-1].text] * 4),
            pitch_hz=lambda text: PITCHES_HZ[text.strip(" .")[:3]],
            **script,
        )
    )


def word_of(reply: Reply) -> str:
    """What was sung; fails where anything but one tone is in it."""
    samples = np.frombuffer(b"".join(reply.frames), "<i2").astype(np.float32) / 32_768
    word = word_at(pitch_hz(samples))
    time_s = np.arange(samples.size) / RATE_HZ
    turning = np.exp(-2j * np.pi * PITCHES_HZ[word] * time_s)
    of_that_tone = 2 * np.abs(np.mean(samples * turning)) / (np.sqrt(2 * np.mean(samples**2)) + 1e-9)
    assert of_that_tone > 0.95, "more than one tone"
    return word


@dataclass
class MadeUpLine:
    """Both ends of a connection that delivers in order, each message after what `delay_s` says of when it was sent."""

    delay_s: Callable[[float], float]
    to_server: asyncio.Queue[tuple[float, bytes]] = field(default_factory=asyncio.Queue)
    to_client: asyncio.Queue[tuple[float, bytes]] = field(default_factory=asyncio.Queue)

    async def send(self, message: bytes) -> None:
        now_s = asyncio.get_running_loop().time()
        await self.to_server.put((now_s + self.delay_s(now_s), message))

    async def recv(self) -> bytes:
        due_s, message = await self.to_client.get()
        await asyncio.sleep(max(0.0, due_s - asyncio.get_running_loop().time()))
        return message

    def server_end(self) -> ServerConnection:
        return cast(ServerConnection, _ServerEnd(self))


@dataclass
class _ServerEnd:
    line: MadeUpLine

    async def send(self, message: bytes) -> None:
        now_s = asyncio.get_running_loop().time()
        await self.line.to_client.put((now_s + self.line.delay_s(now_s), message))

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while True:
            due_s, message = await self.line.to_server.get()
            await asyncio.sleep(max(0.0, due_s - asyncio.get_running_loop().time()))
            yield message


@asynccontextmanager
async def served(
    engine: Engine, block: int, *, phase_s: float = 0.0, delay_s: Callable[[float], float] = lambda now_s: 0.0
) -> AsyncIterator[OriginalClient]:
    line = MadeUpLine(delay_s)
    clock = Clock(asyncio.get_running_loop().time, asyncio.sleep)
    async with Conversation(engine, endpoint_settings("", tuple(Language))) as conversation:
        serving = asyncio.create_task(EndpointConnection(line.server_end(), conversation, clock).run())
        async with OriginalClient(line, block, phase_s=phase_s) as client:
            yield client
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)


async def ask_three_times(client: OriginalClient, words: list[str]) -> list[Reply]:
    """A second of silence goes before each question."""
    replies = []
    for word in words:
        await client.keep_silent(1.0)
        replies.append(await client.ask(tone(PITCHES_HZ[word], 0.6)))
    return replies


def assert_played_without_gaps(reply: Reply, block: int) -> None:
    assert reply.dry_blocks == 0
    assert [len(frame) for frame in reply.frames[:-1]] == [2 * block] * (len(reply.frames) - 1)
    assert 0 < len(reply.frames[-1]) <= 2 * block
    assert reply.frames[-1] != DONE
    assert reply.played.startswith(b"".join(reply.frames))


@pytest.mark.parametrize("block", BLOCKS)
@settings(max_examples=25, deadline=None)
@given(phase=st.floats(0.0, 1.0, exclude_max=True), delays_ms=st.lists(st.integers(0, 90), min_size=1, max_size=40))
def test_three_questions_are_answered_without_gaps_whatever_the_network_does(
    block: int, phase: float, delays_ms: list[int]
) -> None:
    """`DONE` comes when the last block has been given out, and not much later, however the messages are delayed."""
    block_s = block / RATE_HZ

    def delay_s(now_s: float) -> float:
        return delays_ms[int(now_s / 0.05) % len(delays_ms)] / 1_000

    async def converse() -> tuple[list[Reply], float]:
        engine = singing_engine(speaking_s=0.05)
        async with served(engine, block, phase_s=phase * block_s, delay_s=delay_s) as client:
            replies = await ask_three_times(client, WORDS[:3])
            assert client.late_s < 1e-6
            return replies, client.blocks_sent * block_s

    replies, sent_s = virtual_time.run(converse())
    for reply, word in zip(replies, WORDS, strict=False):
        assert_played_without_gaps(reply, block)
        assert word_of(reply) == word
        assert reply.done_s is not None
        assert reply.done_s >= reply.ended_s - 1e-6
        assert reply.done_s <= reply.ended_s + 2 * block_s + 0.2
    assert replies[-1].done_s is not None
    assert sent_s >= replies[-1].done_s - 2 * block_s


def test_ten_at_once_each_play_their_own_reply_without_gaps() -> None:
    async def converse() -> list[list[Reply]]:
        engine = singing_engine(hearing_s=0.05, speaking_s=0.05)

        async def call(number: int) -> list[Reply]:
            async with served(engine, BLOCKS[number % 2], phase_s=0.003 * number) as client:
                return await ask_three_times(client, WORDS[3 * number : 3 * number + 3])

        return await asyncio.gather(*(call(number) for number in range(CLIENTS)))

    calls = virtual_time.run(converse())
    assert [[word_of(reply) for reply in replies] for replies in calls] == EACH_CLIENTS
    for number, replies in enumerate(calls):
        for reply in replies:
            assert_played_without_gaps(reply, BLOCKS[number % 2])
            assert reply.done_s is not None
            assert reply.done_s >= reply.ended_s - 1e-6


class LoopClock:
    def now(self) -> float:
        return asyncio.get_running_loop().time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


def test_ten_at_once_on_sockets_each_get_their_own_reply(running: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    async def close(_engine: Engine) -> None:
        """Models are ended in a thread, for which made-up time does not wait; these need no end."""

    monkeypatch.setattr(Engine, "aclose", close)

    async def converse() -> list[list[Reply]]:
        async with running(singing_engine(), clock=LoopClock()) as server:

            async def call(number: int) -> list[Reply]:
                url = f"ws://127.0.0.1:{server.port}/ws"
                # What the original sends with its upgrade, and the library that it uses of its own accord.
                headers = {
                    "Authorization": "Bearer none",
                    "Accept": "application/json",
                    "Content-Type": "application/json",
                    "Origin": f"http://127.0.0.1:{server.port}",
                }
                async with (
                    connect(url, additional_headers=headers) as websocket,
                    OriginalClient(cast(Any, websocket), BLOCKS[number % 2], phase_s=0.003 * number) as client,
                ):
                    return await ask_three_times(client, WORDS[3 * number : 3 * number + 3])

            return await asyncio.gather(*(call(number) for number in range(CLIENTS)))

    calls = virtual_time.run(converse())
    assert [[word_of(reply) for reply in replies] for replies in calls] == EACH_CLIENTS
