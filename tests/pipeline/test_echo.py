"""Telling the reply's own loudspeaker from a caller."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from pipeline.audio import INPUT_RATE_HZ, OUTPUT_RATE_HZ, FloatArray
from pipeline.echo import WINDOW_S, EchoGuard


def noise(seconds: float, rate_hz: int, seed: int) -> FloatArray:
    """Band-limited, as speech is."""
    white = np.random.default_rng(seed).standard_normal(round(seconds * rate_hz))
    spectrum = np.fft.rfft(white)
    spectrum[round(4000 * seconds) :] = 0.0
    return (0.1 * np.fft.irfft(spectrum, white.size)).astype(np.float32)


def at_16k(samples_24k: FloatArray) -> FloatArray:
    grid = np.arange(0, samples_24k.size, OUTPUT_RATE_HZ / INPUT_RATE_HZ)
    return np.interp(grid, np.arange(samples_24k.size), samples_24k).astype(np.float32)


@pytest.mark.parametrize("delay_s", [0.0, 0.12, 0.5])
@pytest.mark.parametrize("gain_db", [-6, -20])
def test_an_echo_is_recognised_at_any_level_and_delay(delay_s: float, gain_db: float) -> None:
    guard, said = EchoGuard(0.4), noise(3.0, OUTPUT_RATE_HZ, 1)
    guard.sent(said, 10.0)
    ends_s = 2.0
    heard = at_16k(said)[: round((ends_s - delay_s) * INPUT_RATE_HZ)][-round(WINDOW_S * INPUT_RATE_HZ) :]
    assert guard.explains(heard * 10 ** (gain_db / 20), 10.0 + ends_s)


def heard_of(said: FloatArray, delay_s: float, until_s: float) -> FloatArray:
    """The microphone's last window before `until_s`: what is played from 0 s on, at -20 dB in a room of -65 dBFS."""
    late = np.concatenate([np.zeros(round((WINDOW_S + delay_s) * INPUT_RATE_HZ), np.float32), 0.1 * at_16k(said)])
    window = late[round(until_s * INPUT_RATE_HZ) :][: round(WINDOW_S * INPUT_RATE_HZ)]
    room = np.random.default_rng(3).normal(0.0, 10 ** (-65 / 20), round(WINDOW_S * INPUT_RATE_HZ)).astype(np.float32)
    room[: window.size] += window
    return room


@pytest.mark.parametrize("until_s", [0.15, 0.3, 0.5, 1.0])
def test_an_echo_is_recognised_from_the_first_word_on(until_s: float) -> None:
    guard, said = EchoGuard(0.4), noise(3.0, OUTPUT_RATE_HZ, 1)
    guard.sent(said, 10.0)
    assert guard.explains(heard_of(said, 0.05, until_s), 10.0 + until_s)


@pytest.mark.parametrize("after_s", [0.1, 0.3, 0.5])
def test_an_echo_that_comes_after_the_reply_has_been_played_is_recognised(after_s: float) -> None:
    guard, said = EchoGuard(0.4), noise(3.0, OUTPUT_RATE_HZ, 1)
    guard.sent(said, 10.0)
    assert guard.explains(heard_of(said, 0.4, 3.0 + after_s), 13.0 + after_s)


def test_a_soft_echo_is_recognised_in_a_noisy_room() -> None:
    guard, said = EchoGuard(0.4), 0.1 * noise(3.0, OUTPUT_RATE_HZ, 1)
    guard.sent(said, 10.0)
    assert guard.explains(heard_of(said, 0.1, 1.0), 11.0)


def test_somebody_else_is_no_echo() -> None:
    guard = EchoGuard(0.4)
    guard.sent(noise(3.0, OUTPUT_RATE_HZ, 1), 10.0)
    assert not guard.explains(noise(WINDOW_S, INPUT_RATE_HZ, 2), 12.0)


def test_whoever_speaks_louder_than_the_echo_is_heard() -> None:
    guard, said = EchoGuard(0.4), noise(3.0, OUTPUT_RATE_HZ, 1)
    guard.sent(said, 10.0)
    echo = 0.1 * at_16k(said)[round(1.6 * INPUT_RATE_HZ) : round(2.0 * INPUT_RATE_HZ)]
    assert not guard.explains(echo + noise(WINDOW_S, INPUT_RATE_HZ, 2), 12.0)


def test_nothing_explains_anything_before_something_was_sent() -> None:
    assert not EchoGuard(0.4).explains(noise(WINDOW_S, INPUT_RATE_HZ, 2), 12.0)


def test_what_is_kept_is_bounded_however_long_the_reply() -> None:
    guard, piece = EchoGuard(0.4), noise(0.1, OUTPUT_RATE_HZ, 1)
    for index in range(1000):
        guard.sent(piece, 10.0 + 0.1 * index)
    assert len(pickle.dumps(guard)) < 500_000


def test_silence_is_no_echo() -> None:
    guard = EchoGuard(0.4)
    guard.sent(noise(3.0, OUTPUT_RATE_HZ, 1), 10.0)
    assert not guard.explains(np.zeros(round(WINDOW_S * INPUT_RATE_HZ), np.float32), 12.0)
