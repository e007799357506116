"""Whisper's window, its guards, and the real model."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.audio import INPUT_RATE_HZ
from pipeline.languages import Language
from pipeline.stt.whisper import Whisper, _cut, _ran_away
from pipeline.weights import WeightStore


@given(st.integers(0, 100 * INPUT_RATE_HZ))
@settings(max_examples=20)
def test_long_audio_is_cut_without_losing_a_sample(samples: int) -> None:
    audio = np.arange(samples, dtype=np.float32)
    pieces = _cut(audio)
    assert (np.concatenate(pieces) == audio).all()
    assert all(piece.size <= 30 * INPUT_RATE_HZ for piece in pieces)


def test_long_audio_is_cut_where_it_is_quiet() -> None:
    audio = np.random.default_rng(0).normal(0, 0.1, 40 * INPUT_RATE_HZ).astype(np.float32)
    quiet = int(26.05 * INPUT_RATE_HZ)
    audio[quiet - 1600 : quiet + 1600] = 0.0
    assert abs(_cut(audio)[0].size - quiet) <= INPUT_RATE_HZ // 10


def test_repetition_is_noticed_and_speech_is_not() -> None:
    assert _ran_away("Sure, I can help you with that. " * 8, list(range(20)), 10.0)
    assert _ran_away("short", list(range(500)), 2.0)
    assert not _ran_away("And so, my fellow Americans, ask not what your country can do for you.", [0] * 18, 8.0)
    assert not _ran_away("", [], 1.0)


@pytest.mark.models
def test_silence_and_noise_are_heard_as_nothing(whisper: Whisper) -> None:
    quiet = np.random.default_rng(0).normal(0, 1e-4, 2 * INPUT_RATE_HZ).astype(np.float32)
    assert whisper.transcribe(quiet, list(Language)).text == ""


@pytest.fixture(scope="module")
def whisper(weights: WeightStore) -> Whisper:
    return Whisper(weights.path("whisper-base"), threads=2, shortest_window_s=12.0, padding_s=1.0)
