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


class Clock:
    """Stands still at 10 s until it is set."""

    def __init__(self) -> None:
        self.now_s = 10.0

    def __call__(self) -> float:
        return self.now_s


def guard_at(now_s: float, said: FloatArray) -> EchoGuard:
    """One to which `said` was sent at 10 s, which was played from then on."""
    clock = Clock()
    guard = EchoGuard(clock)
    guard.sent(said, 10.0)
    clock.now_s = now_s
    return guard


@pytest.mark.parametrize("delay_s", [0.0, 0.12, 0.5])
@pytest.mark.parametrize("gain_db", [-6, -20])
def test_an_echo_is_recognised_at_any_level_and_delay(delay_s: float, gain_db: float) -> None:
    said = noise(3.0, OUTPUT_RATE_HZ, 1)
    ends_s = 2.0
    heard = at_16k(said)[: round((ends_s - delay_s) * INPUT_RATE_HZ)][-round(WINDOW_S * INPUT_RATE_HZ) :]
    assert guard_at(10.0 + ends_s, said).explains(heard * 10 ** (gain_db / 20))


def heard_of(said: FloatArray, delay_s: float, until_s: float) -> FloatArray:
    """The microphone's last window before `until_s`: what is played from 0 s on, at -20 dB in a room of -65 dBFS."""
    late = np.concatenate([np.zeros(round((WINDOW_S + delay_s) * INPUT_RATE_HZ), np.float32), 0.1 * at_16k(said)])
    window = late[round(until_s * INPUT_RATE_HZ) :][: round(WINDOW_S * INPUT_RATE_HZ)]
    room = np.random.default_rng(3).normal(0.0, 10 ** (-65 / 20), round(WINDOW_S * INPUT_RATE_HZ)).astype(np.float32)
    room[: window.size] += window
    return room


@pytest.mark.parametrize("until_s", [0.15, 0.3, 0.5, 1.0])
def test_an_echo_is_recognised_from_the_first_word_on(until_s: float) -> None:
    said = noise(3.0, OUTPUT_RATE_HZ, 1)
    assert guard_at(10.0 + until_s, said).explains(heard_of(said, 0.05, until_s))


@pytest.mark.parametrize("after_s", [0.1, 0.3, 0.5])
def test_an_echo_that_comes_after_the_reply_has_been_played_is_recognised(after_s: float) -> None:
    said = noise(3.0, OUTPUT_RATE_HZ, 1)
    assert guard_at(13.0 + after_s, said).explains(heard_of(said, 0.4, 3.0 + after_s))


def test_a_soft_echo_is_recognised_in_a_noisy_room() -> None:
    said = 0.1 * noise(3.0, OUTPUT_RATE_HZ, 1)
    assert guard_at(11.0, said).explains(heard_of(said, 0.1, 1.0))


def test_somebody_else_is_no_echo() -> None:
    said = noise(3.0, OUTPUT_RATE_HZ, 1)
    assert not guard_at(12.0, said).explains(noise(WINDOW_S, INPUT_RATE_HZ, 2))


def test_whoever_speaks_louder_than_the_echo_is_heard() -> None:
    said = noise(3.0, OUTPUT_RATE_HZ, 1)
    echo = 0.1 * at_16k(said)[round(1.6 * INPUT_RATE_HZ) : round(2.0 * INPUT_RATE_HZ)]
    assert not guard_at(12.0, said).explains(echo + noise(WINDOW_S, INPUT_RATE_HZ, 2))


def test_nothing_explains_anything_before_something_was_sent() -> None:
    assert not EchoGuard(Clock()).explains(noise(WINDOW_S, INPUT_RATE_HZ, 2))


def test_what_is_kept_is_bounded_however_long_the_reply() -> None:
    clock = Clock()
    guard, piece = EchoGuard(clock), noise(0.1, OUTPUT_RATE_HZ, 1)
    for index in range(1000):
        clock.now_s = 10.0 + 0.1 * index
        guard.sent(piece, clock.now_s + 0.4)
    assert len(pickle.dumps(guard)) < 100_000


def test_what_is_kept_is_bounded_however_far_ahead_the_reply_is_sent() -> None:
    guard, piece = EchoGuard(Clock()), noise(0.1, OUTPUT_RATE_HZ, 1)
    for index in range(3000):
        guard.sent(piece, 10.0 + 0.1 * index)
    assert len(pickle.dumps(guard)) < 1_100_000


def test_an_echo_of_what_was_sent_long_before_it_is_played_is_recognised() -> None:
    clock = Clock()
    guard, said = EchoGuard(clock), noise(30.0, OUTPUT_RATE_HZ, 1)
    for index in range(300):
        guard.sent(said[index * 2400 :][:2400], 10.0 + 0.1 * index)
    clock.now_s += 29.0
    assert guard.explains(heard_of(said, 0.1, 29.0))


def test_an_echo_of_a_reply_that_took_the_place_of_another_is_recognised() -> None:
    clock = Clock()
    guard, dropped, said = EchoGuard(clock), noise(3.0, OUTPUT_RATE_HZ, 2), noise(3.0, OUTPUT_RATE_HZ, 1)
    for index in range(30):
        guard.sent(dropped[index * 2400 :][:2400], 10.0 + 0.1 * index)
    clock.now_s += 0.5
    guard.sent(said[: OUTPUT_RATE_HZ // 2], clock.now_s)
    clock.now_s += 0.4
    assert guard.explains(heard_of(said, 0.1, 0.4))
    clock.now_s += 1.0
    assert not guard.explains(heard_of(dropped, 0.1, 1.9))


def test_silence_is_no_echo() -> None:
    said = noise(3.0, OUTPUT_RATE_HZ, 1)
    assert not guard_at(12.0, said).explains(np.zeros(round(WINDOW_S * INPUT_RATE_HZ), np.float32))
