"""How Whisper's engines cut speech into windows, and the guards of their answers."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.audio import INPUT_RATE_HZ
from pipeline.stt.windows import cut, fastest_tokens, is_no_speech, ran_away, window_s


def seconds(length: float) -> np.ndarray:
    return np.zeros(int(length * INPUT_RATE_HZ), np.float32)


@given(st.integers(0, 100 * INPUT_RATE_HZ))
@settings(max_examples=20)
def test_long_audio_is_cut_without_losing_a_sample(samples: int) -> None:
    audio = np.arange(samples, dtype=np.float32)
    pieces = cut(audio)
    assert (np.concatenate(pieces) == audio).all()
    assert all(piece.size <= 30 * INPUT_RATE_HZ for piece in pieces)


def test_long_audio_is_cut_where_it_is_quiet() -> None:
    audio = np.random.default_rng(0).normal(0, 0.1, 40 * INPUT_RATE_HZ).astype(np.float32)
    quiet = int(26.05 * INPUT_RATE_HZ)
    audio[quiet - 1600 : quiet + 1600] = 0.0
    assert abs(cut(audio)[0].size - quiet) <= INPUT_RATE_HZ // 10


def test_a_window_is_as_long_as_it_must_be_and_no_longer_than_whisper_knows() -> None:
    lengths = [window_s(seconds(length), shortest_s=6.0, padding_s=2.0) for length in (0.5, 5.0, 29.0)]
    assert lengths == [6.0, 7.0, 30.0]


def test_repetition_is_noticed_and_speech_is_not() -> None:
    assert ran_away("Sure, I can help you with that. " * 8, list(range(20)), seconds(10.0))
    assert ran_away("short", list(range(500)), seconds(2.0))
    assert not ran_away("And so, my fellow Americans, ask not what you can do.", [0] * 18, seconds(8.0))
    assert not ran_away("", [], seconds(1.0))


def test_words_are_dropped_only_where_neither_they_nor_speech_are_sure() -> None:
    assert is_no_speech(np.log(0.9), -1.5)
    assert not is_no_speech(np.log(0.9), -0.3)
    assert not is_no_speech(np.log(0.1), -1.5)


def test_a_sentence_is_said_in_the_time_once_and_not_twice() -> None:
    japanese = np.zeros(round(4.9 * INPUT_RATE_HZ), np.float32)
    assert fastest_tokens(japanese) >= 34  # the fastest of the recordings
    korean = np.zeros(round(6.8 * INPUT_RATE_HZ), np.float32)
    assert 30 <= fastest_tokens(korean) < 2 * 30  # was once heard twice
