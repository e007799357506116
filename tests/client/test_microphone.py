"""Frames out of whatever blocks a sound card records in."""

from __future__ import annotations

import asyncio
import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.audio import FloatArray, to_pcm16
from client.microphone import WAITING_FRAMES, Microphone
from harness import virtual_time

RATE_HZ = 16_000


async def collected(microphone: Microphone) -> list[bytes]:
    """What is there to send."""
    frames: list[bytes] = []

    async def collect() -> None:
        async for frame in microphone.frames():
            frames.append(frame)

    collecting = asyncio.create_task(collect())
    for _ in range(3):
        await asyncio.sleep(0)
    collecting.cancel()
    return frames


@given(sizes=st.lists(st.integers(0, 1_000), max_size=12))
def test_frames_are_whole_and_nothing_is_lost_or_altered(sizes: list[int]) -> None:
    samples = np.linspace(-1, 1, sum(sizes), dtype=np.float32)

    async def main() -> list[bytes]:
        microphone = Microphone(RATE_HZ, RATE_HZ)
        for block in np.split(samples, np.cumsum(sizes)[:-1].astype(int)) if sizes else []:
            microphone.hear(block, False)
        return await collected(microphone)

    frames = virtual_time.run(main())
    assert {len(frame) for frame in frames} <= {640}
    assert len(frames) == samples.size // 320
    assert to_pcm16(samples).startswith(b"".join(frames))


def test_what_cannot_be_sent_in_time_is_lost_from_the_oldest_on_and_counted() -> None:
    async def main() -> None:
        microphone = Microphone(RATE_HZ, RATE_HZ)
        for number in range(WAITING_FRAMES + 7):
            microphone.hear(np.full(320, number / 1_000, np.float32), False)
        frames = await collected(microphone)
        assert len(frames) == WAITING_FRAMES
        assert frames[0] == to_pcm16(np.full(320, 0.007, np.float32))
        assert microphone.overruns == 7

    virtual_time.run(main())


def test_what_the_card_has_lost_is_counted() -> None:
    async def main() -> None:
        microphone = Microphone(RATE_HZ, RATE_HZ)
        microphone.hear(np.full(320, 0.5, np.float32), True)
        await collected(microphone)
        assert microphone.overruns == 1
        assert microphone.level == pytest.approx(0.5)

    virtual_time.run(main())


def test_it_may_be_called_from_a_thread_of_the_cards() -> None:
    async def main() -> list[bytes]:
        microphone = Microphone(RATE_HZ, RATE_HZ)
        threading.Thread(target=lambda: microphone.hear(np.zeros(640, np.float32), False)).start()
        frames = microphone.frames()
        return [await anext(frames), await anext(frames)]

    assert asyncio.run(main()) == [bytes(640)] * 2


def test_a_card_of_another_rate_is_sent_at_the_right_one() -> None:
    tone: FloatArray = (0.5 * np.sin(2 * np.pi * 440 * np.arange(48_000) / 48_000)).astype(np.float32)

    async def main() -> list[bytes]:
        microphone = Microphone(48_000, RATE_HZ)
        frames: list[bytes] = []
        for start in range(0, tone.size, 960):
            microphone.hear(tone[start : start + 960], False)
            frames += await collected(microphone)
        return frames

    heard = np.frombuffer(b"".join(virtual_time.run(main())), "<i2") / 32_768
    assert heard.size == pytest.approx(RATE_HZ, abs=700)
    assert np.argmax(np.abs(np.fft.rfft(heard, RATE_HZ))) == pytest.approx(440, abs=1)
