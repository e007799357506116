"""What is done to clips: finite, in range, as long as it should be, at the level asked for, the same each time."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from harness.fixtures import treatments as treat
from harness.fixtures.store import FloatArray

RATES = st.sampled_from([16_000, 24_000])
SOUNDS = arrays(np.float32, st.integers(0, 4_000), elements=st.floats(-1, 1, width=32))
HEARD = st.builds(
    lambda seed, level, n: np.clip(np.random.default_rng(seed).normal(0, level, n), -1, 1).astype(np.float32),
    st.integers(0, 99),
    st.floats(0.001, 0.2),
    st.integers(2_000, 6_000),
)


def is_sound(samples: FloatArray, size: int) -> None:
    assert samples.dtype == np.float32
    assert samples.shape == (size,)
    assert np.all(np.isfinite(samples))
    assert np.abs(samples).max(initial=0.0) <= 1.0


@given(HEARD, st.floats(0, 1), st.floats(0.1, 2.0), RATES)
def test_a_pause_is_as_long_as_asked_for_and_soft(
    samples: FloatArray, place: float, length_s: float, rate_hz: int
) -> None:
    at, pause = round(place * samples.size), round(length_s * rate_hz)
    paused = treat.with_pause(samples, at, length_s, rate_hz)
    is_sound(paused, samples.size + pause)
    fade = round(treat.FADE_S * rate_hz)
    assert np.array_equal(paused[: max(0, at - fade)], samples[: max(0, at - fade)])
    assert np.array_equal(paused[at + pause + fade :], samples[at + fade :])
    assert treat.rms(paused[at : at + pause]) <= treat.rms(samples)
    assert np.array_equal(paused, treat.with_pause(samples, at, length_s, rate_hz))


@given(SOUNDS, st.floats(-60, 30))
def test_a_gain_is_in_decibels_and_stays_in_range(samples: FloatArray, gain_db: float) -> None:
    changed = treat.with_gain(samples, gain_db)
    is_sound(changed, samples.size)
    factor = 10 ** (gain_db / 20)
    inside = np.abs(samples * factor) < 1
    assert np.allclose(changed[inside], samples[inside] * factor, rtol=1e-5)


@given(HEARD, st.floats(0.5, 40))
def test_an_overdriven_microphone_cuts_off_what_is_beyond_full_scale(samples: FloatArray, overdrive_db: float) -> None:
    driven = treat.overdriven(samples, overdrive_db)
    is_sound(driven, samples.size)
    threshold = np.abs(samples).max() * 10 ** (-overdrive_db / 20)
    beyond = np.abs(samples) > threshold * 1.001
    assert np.all(np.abs(driven[beyond]) == 1.0)
    assert np.all(np.abs(driven[np.abs(samples) < threshold * 0.999]) < 1.0)


def test_silence_cannot_be_overdriven() -> None:
    assert not treat.overdriven(np.zeros(100, np.float32), 20.0).any()


@given(SOUNDS, RATES)
def test_a_telephone_keeps_the_length(samples: FloatArray, rate_hz: int) -> None:
    is_sound(treat.through_telephone(samples, rate_hz), samples.size)


@pytest.mark.parametrize(
    ("hz", "passes"), [(60, False), (150, False), (500, True), (1_000, True), (3_000, True), (5_000, False)]
)
@pytest.mark.parametrize("rate_hz", [16_000, 24_000])
def test_a_telephone_passes_its_band_and_moves_nothing(hz: int, passes: bool, rate_hz: int) -> None:
    time_s = np.arange(rate_hz) / rate_hz
    tone = (0.3 * np.sin(2 * np.pi * hz * time_s)).astype(np.float32)
    heard = treat.through_telephone(tone, rate_hz)
    middle = slice(rate_hz // 4, 3 * rate_hz // 4)
    loss_db = 20 * np.log10(treat.rms(heard[middle]) / treat.rms(tone[middle]))
    assert (loss_db > -3) == passes
    assert passes or loss_db < -12
    if passes:
        assert np.corrcoef(heard[middle], tone[middle])[0, 1] > 0.98


def test_the_mu_law_has_256_steps_and_is_finer_for_soft_sounds() -> None:
    ramp = np.linspace(-1, 1, 20_001, dtype=np.float32)
    coded = treat.mu_law(ramp)
    assert np.unique(coded).size == 256
    error = np.abs(coded - ramp)
    assert error.max() < 0.025
    assert error[np.abs(ramp) < 0.01].max() < 0.0006


@given(st.floats(0.5, 3), st.floats(-80, -20), RATES)
def test_noise_is_as_loud_and_as_long_as_asked_for(seconds: float, dbfs: float, rate_hz: int) -> None:
    made = treat.noise(seconds, dbfs, rate_hz)
    is_sound(made, round(seconds * rate_hz))
    assert 20 * np.log10(treat.rms(made)) == pytest.approx(dbfs, abs=0.05)
    assert np.array_equal(made, treat.noise(seconds, dbfs, rate_hz))


@given(st.lists(HEARD, min_size=1, max_size=4), st.floats(0.2, 1.0), st.floats(0.01, 0.2), st.floats(0, 40))
def test_babble_lies_as_far_below_the_speech_as_asked_for(
    voices: list[FloatArray], seconds: float, speech_rms: float, snr_db: float
) -> None:
    babble = treat.babble(voices, seconds, 16_000)
    is_sound(babble, round(seconds * 16_000))
    behind = treat.at_snr(babble, speech_rms, snr_db)
    is_sound(behind, babble.size)
    if np.abs(behind).max() < 1:
        assert 20 * np.log10(speech_rms / treat.rms(behind)) == pytest.approx(snr_db, abs=0.05)


def test_a_silent_voice_is_no_babble() -> None:
    with pytest.raises(ValueError, match="voice 1 of the babble is silent"):
        treat.babble([np.zeros(100, np.float32)], 1.0, 16_000)


def test_a_background_of_silence_stays_silent() -> None:
    assert not treat.at_snr(np.zeros(10, np.float32), 0.1, 15.0).any()
    assert not treat.silence(0.1, 16_000).any()
