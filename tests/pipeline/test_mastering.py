"""Clauses made ready to be played one after the other."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.audio import OUTPUT_RATE_HZ, FloatArray
from pipeline.tts.mastering import master, pause_after, pieces, true_peak


def tone(amplitude: float, *, lead_s: float = 0.3, sound_s: float = 0.5, tail_s: float = 0.4) -> FloatArray:
    silence = [np.zeros(round(seconds * OUTPUT_RATE_HZ), np.float32) for seconds in (lead_s, tail_s)]
    time = np.arange(round(sound_s * OUTPUT_RATE_HZ)) / OUTPUT_RATE_HZ
    return np.concatenate([silence[0], (amplitude * np.sin(2 * np.pi * 440 * time)).astype(np.float32), silence[1]])


def test_the_silence_around_is_set() -> None:
    mastered = master(tone(0.3), gain=1.0, pause_s=0.2)
    audible = np.flatnonzero(np.abs(mastered) > 0.01)
    assert audible[0] / OUTPUT_RATE_HZ == pytest.approx(0.015, abs=0.006)
    assert (mastered.size - audible[-1]) / OUTPUT_RATE_HZ == pytest.approx(0.2, abs=0.006)


def test_both_ends_are_silent_even_if_the_sound_fills_it() -> None:
    mastered = master(tone(0.3, lead_s=0, tail_s=0), gain=1.0, pause_s=0.0)
    assert abs(mastered[0]) < 1e-3
    assert abs(mastered[-1]) < 1e-3


def test_gain_is_fixed_until_the_peak_forbids_it() -> None:
    assert np.max(master(tone(0.2), gain=2.0, pause_s=0.1)) == pytest.approx(0.4, rel=0.01)
    assert true_peak(master(tone(0.8), gain=2.0, pause_s=0.1)) <= 10 ** (-1 / 20)


def test_silence_gives_nothing() -> None:
    assert master(np.zeros(OUTPUT_RATE_HZ, np.float32), gain=1.0, pause_s=0.3).size == 0
    assert master(np.zeros(0, np.float32), gain=1.0, pause_s=0.3).size == 0


@given(
    samples=st.lists(st.floats(-4, 4, width=32) | st.just(float("nan")), max_size=2000),
    gain=st.floats(0.1, 8),
    pause_s=st.floats(0, 0.5),
)
@settings(max_examples=50)
def test_whatever_comes_can_be_played(samples: list[float], gain: float, pause_s: float) -> None:
    mastered = master(np.array(samples, np.float32), gain=gain, pause_s=pause_s)
    assert mastered.dtype == np.float32
    assert np.all(np.isfinite(mastered))
    assert true_peak(mastered) < 10 ** (-1 / 20)


def test_pieces_join_to_the_whole() -> None:
    whole = np.arange(5000, dtype=np.float32)
    assert np.array_equal(np.concatenate(list(pieces(whole))), whole)
    assert {piece.size for piece in pieces(whole)} == {2400, 200}


def test_a_sentence_ends_in_a_longer_pause_than_a_clause() -> None:
    assert pause_after("Yes.") == pause_after("好。") == pause_after("He said “no!” ") > pause_after("Yes,")
    assert pause_after("好，") == pause_after("Yes,") > pause_after("Yes") > pause_after("")
