"""A question and its answer, on made-up time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

import numpy as np
import pytest

from client.endpoint import EndpointClient
from client.events import Failed, Heard, ReplyAudio, ReplyEnded, ServerEvent, Spoken
from client.realtime import RealtimeClient
from client.talk import Answer, open_client, protocol_rate_hz, talk
from harness import virtual_time

RATE_HZ = 24_000


class Scripted:
    def __init__(self, script: Sequence[tuple[float, ServerEvent]]) -> None:
        self._script = script

    async def send(self, pcm16: bytes) -> None:
        """Nobody listens."""

    async def events(self) -> AsyncIterator[ServerEvent]:
        for at_s, event in self._script:
            await asyncio.sleep(at_s - asyncio.get_running_loop().time())
            yield event
        await asyncio.Event().wait()


def ask(script: Sequence[tuple[float, ServerEvent]]) -> tuple[Answer, list[ServerEvent]]:
    shown: list[ServerEvent] = []
    question = bytes(2 * RATE_HZ)
    answer = virtual_time.run(talk(Scripted(script), question, rate_hz=RATE_HZ, on_event=shown.append))
    return answer, shown


def test_an_answer_is_collected_and_shown_as_it_comes() -> None:
    script: list[tuple[float, ServerEvent]] = [
        (1.1, Heard("hello")),
        (1.2, Spoken("Hi ")),
        (1.3, ReplyAudio(b"\x00\x40\x00")),
        (1.4, Spoken("there.")),
        (1.5, ReplyAudio(b"\x00\x20")),
        (1.6, ReplyEnded()),
    ]
    answer, shown = ask(script)
    assert shown == [event for _, event in script]
    assert (answer.heard, answer.spoken, answer.failure) == ("hello", "Hi there.", None)
    assert answer.samples == pytest.approx([0.5, 0.25])
    assert answer.first_audio_s == pytest.approx(0.3)


def test_a_failure_keeps_what_had_come() -> None:
    answer, _ = ask([(1.3, ReplyAudio(b"\x00\x40")), (1.4, Failed("out of memory"))])
    assert answer.failure == "out of memory"
    assert len(answer.samples) == 1


def test_where_one_reply_was_broken_off_and_another_begins_there_is_a_ramp() -> None:
    loud, silent = b"\x00\x40" * 200, bytes(400)
    answer, _ = ask([(1.2, ReplyAudio(loud)), (1.3, ReplyEnded(cancelled=True)), (1.4, ReplyAudio(silent))])
    assert np.abs(np.diff(answer.samples[1:])).max() < 0.01
    assert answer.samples[-1] == 0.0


def test_no_answer() -> None:
    answer, _ = ask([])
    assert answer.first_audio_s is None
    assert answer.samples.shape == (0,)
    assert answer.samples.dtype == np.float32


def test_the_path_of_the_address_picks_the_protocol() -> None:
    assert isinstance(open_client("ws://127.0.0.1:8080/ws"), EndpointClient)
    assert isinstance(open_client("ws://127.0.0.1:8080"), RealtimeClient)
    assert protocol_rate_hz("ws://127.0.0.1:8080/ws") == 16_000
    assert protocol_rate_hz("ws://127.0.0.1:8080/v1/realtime") == 24_000
