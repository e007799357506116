"""Clauses made ready to be played one after the other."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.audio import OUTPUT_RATE_HZ, FloatArray
from pipeline.tts.mastering import master, pause_after, true_peak


def tone(amplitude: float, *, lead_s: float = 0.3, sound_s: float = 0.5, tail_s: float = 0.4) -> FloatArray:
    silence = [np.zeros(round(seconds * OUTPUT_RATE_HZ), np.float32) for seconds in (lead_s, tail_s)]
    time = np.arange(round(sound_s * OUTPUT_RATE_HZ)) / OUTPUT_RATE_HZ
    return np.concatenate([silence[0], (amplitude * np.sin(2 * np.pi * 440 * time)).astype(np.float32), silence[1]])


def mastered_whole(samples: FloatArray, *, gain: float, pause_s: float, stretch: int = 10**9) -> FloatArray:
    stretches = [samples[start : start + stretch] for start in range(0, samples.size, stretch)]
    return np.concatenate([np.zeros(0, np.float32), *master(stretches, gain=gain, pause_s=pause_s)])


def test_the_silence_around_is_set() -> None:
    mastered = mastered_whole(tone(0.3), gain=1.0, pause_s=0.2)
    audible = np.flatnonzero(np.abs(mastered) > 0.01)
    assert audible[0] / OUTPUT_RATE_HZ == pytest.approx(0.005, abs=0.001)
    assert (mastered.size - audible[-1]) / OUTPUT_RATE_HZ == pytest.approx(0.2, abs=0.006)


def test_both_ends_are_silent_even_if_the_sound_fills_it() -> None:
    mastered = mastered_whole(tone(0.3, lead_s=0, tail_s=0), gain=1.0, pause_s=0.0)
    assert abs(mastered[0]) < 1e-3
    assert abs(mastered[-1]) < 1e-3


def test_gain_is_fixed_until_the_peak_forbids_it() -> None:
    assert np.max(mastered_whole(tone(0.2), gain=2.0, pause_s=0.1)) == pytest.approx(0.4, rel=0.01)
    assert true_peak(mastered_whole(tone(0.8), gain=2.0, pause_s=0.1)) <= 10 ** (-1 / 20)


def test_silence_gives_nothing() -> None:
    assert mastered_whole(np.zeros(OUTPUT_RATE_HZ, np.float32), gain=1.0, pause_s=0.3).size == 0
    assert mastered_whole(np.zeros(0, np.float32), gain=1.0, pause_s=0.3).size == 0


@given(
    samples=st.lists(st.floats(-4, 4, width=32) | st.just(float("nan")), max_size=2000),
    stretch=st.integers(100, 3000),
    gain=st.floats(0.1, 8),
    pause_s=st.floats(0, 0.5),
)
@settings(max_examples=50)
def test_whatever_comes_can_be_played(samples: list[float], stretch: int, gain: float, pause_s: float) -> None:
    mastered = mastered_whole(np.array(samples, np.float32), gain=gain, pause_s=pause_s, stretch=stretch)
    assert mastered.dtype == np.float32
    assert np.all(np.isfinite(mastered))
    assert true_peak(mastered) < 10 ** (-1 / 20)


@given(stretch=st.integers(1000, 30_000), pause_s=st.floats(0, 0.5))
@settings(max_examples=30)
def test_in_stretches_it_is_the_same_as_whole(stretch: int, pause_s: float) -> None:
    two = np.concatenate([tone(0.3), tone(0.2)])
    whole = mastered_whole(two, gain=1.5, pause_s=pause_s)
    np.testing.assert_allclose(mastered_whole(two, gain=1.5, pause_s=pause_s, stretch=stretch), whole, atol=1e-6)


def test_a_clause_is_played_before_it_is_all_there() -> None:
    stretches = iter([tone(0.3, tail_s=0.0), tone(0.3, lead_s=0.0)])
    mastering = master(stretches, gain=1.0, pause_s=0.0)
    heard = np.concatenate([next(mastering) for _ in range(4)])
    assert heard.size / OUTPUT_RATE_HZ == pytest.approx(0.4)
    assert next(stretches).size


def test_a_level_that_has_to_fall_falls_without_a_step() -> None:
    soft, loud = tone(0.5, tail_s=0.0), tone(2.0, lead_s=0.0)
    mastered = np.concatenate(list(master([soft, loud], gain=1.0, pause_s=0.0)))
    assert true_peak(mastered) < 10 ** (-1 / 20)
    assert np.max(np.abs(np.diff(mastered))) < 1.1 * np.max(np.abs(np.diff(soft))) * 10 ** (-1.5 / 20) / 0.5


def test_pieces_are_short() -> None:
    assert max(piece.size for piece in master([tone(0.3)], gain=1.0, pause_s=0.5)) == OUTPUT_RATE_HZ // 10


def test_a_sentence_ends_in_a_longer_pause_than_a_clause() -> None:
    assert pause_after("Yes.") == pause_after("好。") == pause_after("He said “no!” ") > pause_after("Yes,")
    assert pause_after("好，") == pause_after("Yes,") > pause_after("Yes") > pause_after("")
