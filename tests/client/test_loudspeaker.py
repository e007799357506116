"""What a sound card is given to play: in order, without cracks, silent at once, and counted."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from client.audio import FloatArray, to_pcm16
from client.clip_guard import LARGEST_STEP, RAMP_SAMPLES
from client.loudspeaker import Began, Cut, Loudspeaker, Note, RanDry
from harness import virtual_time

RATE_HZ = 16_000
BLOCK = 320


def level_pcm(level: float, samples: int) -> bytes:
    return to_pcm16(np.full(samples, level, np.float32))


def run(test: Callable[[Loudspeaker, list[Note]], Coroutine[Any, Any, None]], card_hz: int = RATE_HZ) -> None:
    async def main() -> None:
        notes: list[Note] = []
        await test(Loudspeaker(card_hz, RATE_HZ, notes.append), notes)

    virtual_time.run(main())


async def blocks(loudspeaker: Loudspeaker, count: int, delay_s: float = 0.0) -> FloatArray:
    given = [loudspeaker.give(BLOCK, delay_s, False) for _ in range(count)]
    await asyncio.sleep(0)  # for the notes
    return np.concatenate(given)


def test_a_reply_is_played_in_order_and_silence_follows() -> None:
    async def test(loudspeaker: Loudspeaker, notes: list[Note]) -> None:
        assert not (await blocks(loudspeaker, 2)).any()
        loudspeaker.play("a", level_pcm(0.25, 500))
        loudspeaker.play("a", level_pcm(0.5, 500))
        assert loudspeaker.busy
        played = await blocks(loudspeaker, 4)
        assert played[RAMP_SAMPLES:500] == pytest.approx(0.25)
        assert played[500:1_000] == pytest.approx(0.5)
        assert not played[1_000 + RAMP_SAMPLES :].any()
        assert not loudspeaker.busy
        assert notes == [Began(0.0), RanDry()]

    run(test)


def test_the_first_sound_is_timed_where_it_leaves_the_machine() -> None:
    async def test(loudspeaker: Loudspeaker, notes: list[Note]) -> None:
        loudspeaker.play("a", level_pcm(0.25, 100))
        loudspeaker.end()
        loudspeaker.play("b", level_pcm(0.25, 100))
        await asyncio.sleep(1.0)
        await blocks(loudspeaker, 1, delay_s=0.05)
        assert notes == [Began(pytest.approx(1.05)), Began(pytest.approx(1.05 + 100 / RATE_HZ)), RanDry()]

    run(test)


def test_what_is_flushed_is_not_played_and_what_was_heard_of_it_is_told() -> None:
    async def test(loudspeaker: Loudspeaker, notes: list[Note]) -> None:
        loudspeaker.play("a", level_pcm(0.5, 16_000))
        await blocks(loudspeaker, 10)
        assert loudspeaker.flush() == [Cut("a", 200)]
        loudspeaker.play("a", level_pcm(0.5, 16_000))  # which the server had sent by then
        silent = await blocks(loudspeaker, 2)
        assert np.abs(np.diff(silent)).max() < 0.01  # a ramp, no crack
        assert not silent[RAMP_SAMPLES:].any()
        assert loudspeaker.flush() == []
        loudspeaker.play("b", level_pcm(0.25, 1_000))
        assert (await blocks(loudspeaker, 1))[RAMP_SAMPLES:] == pytest.approx(0.25)

    run(test)


def test_a_reply_that_was_played_to_its_end_is_not_cut() -> None:
    async def test(loudspeaker: Loudspeaker, notes: list[Note]) -> None:
        loudspeaker.play("a", level_pcm(0.5, BLOCK))
        loudspeaker.end()
        await blocks(loudspeaker, 2)
        assert loudspeaker.flush() == []

    run(test)


def test_a_reply_that_waits_behind_another_was_not_heard_at_all() -> None:
    async def test(loudspeaker: Loudspeaker, notes: list[Note]) -> None:
        loudspeaker.play("a", level_pcm(0.5, 3 * BLOCK))
        loudspeaker.end()
        loudspeaker.play("b", level_pcm(0.5, BLOCK))
        await blocks(loudspeaker, 1)
        assert loudspeaker.flush() == [Cut("a", 20), Cut("b", 0)]

    run(test)


def test_gaps_and_underruns_are_counted() -> None:
    async def test(loudspeaker: Loudspeaker, notes: list[Note]) -> None:
        loudspeaker.play("a", level_pcm(0.5, BLOCK))
        await blocks(loudspeaker, 3)
        loudspeaker.play("a", level_pcm(0.5, BLOCK))
        await blocks(loudspeaker, 2)
        loudspeaker.end()
        loudspeaker.play("a", level_pcm(0.5, BLOCK))  # another one of a protocol without names
        await blocks(loudspeaker, 2)
        assert loudspeaker.gaps == 1
        loudspeaker.give(BLOCK, 0.0, True)
        assert loudspeaker.underruns == 1
        assert [type(note) for note in notes] == [Began, RanDry, RanDry, Began, RanDry]

    run(test)


def test_the_level_is_that_of_the_last_block() -> None:
    async def test(loudspeaker: Loudspeaker, notes: list[Note]) -> None:
        loudspeaker.play("a", level_pcm(0.5, 2 * BLOCK))
        await blocks(loudspeaker, 2)
        assert loudspeaker.level == pytest.approx(0.5, abs=0.01)
        await blocks(loudspeaker, 2)
        assert loudspeaker.level == 0.0

    run(test)


def test_a_card_of_another_rate_is_given_the_whole_reply_at_that_rate() -> None:
    async def test(loudspeaker: Loudspeaker, notes: list[Note]) -> None:
        tone = 0.5 * np.sin(2 * np.pi * 440 * np.arange(RATE_HZ) / RATE_HZ)
        for start in range(0, RATE_HZ, 777):
            loudspeaker.play("a", to_pcm16(tone[start : start + 777].astype(np.float32)))
        loudspeaker.end()
        played = np.concatenate([loudspeaker.give(960, 0.0, False) for _ in range(60)])
        spectrum = np.abs(np.fft.rfft(played[:48_000]))
        assert np.argmax(spectrum) == 440
        assert np.flatnonzero(np.abs(played) > 0.01)[-1] == pytest.approx(48_000 + RAMP_SAMPLES / 2, abs=RAMP_SAMPLES)

    run(test, card_hz=48_000)


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("play"), st.sampled_from("ab"), st.binary(max_size=900)),
        st.tuples(st.just("end")),
        st.tuples(st.just("flush")),
        st.tuples(st.just("give"), st.integers(1, 400)),
    ),
    max_size=12,
)


@settings(max_examples=200, deadline=None)
@given(steps=STEPS, card_hz=st.sampled_from([16_000, 44_100]))
def test_whatever_comes_in_whatever_order_every_sample_is_safe(steps: list[tuple[Any, ...]], card_hz: int) -> None:
    async def test(loudspeaker: Loudspeaker, notes: list[Note]) -> None:
        given = [np.zeros(1, np.float32)]
        for step, *what in [*steps, ("give", 400)]:
            if step == "give":
                given.append(loudspeaker.give(what[0], 0.0, False))
                assert given[-1].shape == (what[0],)
            else:
                getattr(loudspeaker, step)(*what)
        played = np.concatenate(given)
        assert np.all(np.isfinite(played))
        assert np.all(np.abs(played) <= 1.0)
        assert np.all(np.abs(np.diff(played.astype(np.float64))) <= LARGEST_STEP)

    run(test, card_hz)
