"""Conversions between samples and bytes, and the streaming resampler."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from pipeline.audio import AudioFormatError, StreamResampler, float_to_pcm16, pcm16_to_float

FINITE = hnp.arrays(np.float32, st.integers(0, 200), elements=st.floats(-4, 4, width=32))
ANYTHING = hnp.arrays(np.float32, st.integers(0, 200), elements=st.floats(width=32))


@given(st.binary(max_size=400).map(lambda data: data[: len(data) // 2 * 2]))
def test_pcm_survives_the_round_trip(pcm: bytes) -> None:
    assert float_to_pcm16(pcm16_to_float(pcm)) == pcm


@given(st.binary(max_size=401).filter(lambda data: len(data) % 2 == 1))
def test_odd_bytes_are_refused_by_name(pcm: bytes) -> None:
    with pytest.raises(AudioFormatError, match=f"{len(pcm)} bytes"):
        pcm16_to_float(pcm)


@given(FINITE)
def test_conversion_saturates_and_never_wraps(samples: np.ndarray) -> None:
    back = pcm16_to_float(float_to_pcm16(samples))
    np.testing.assert_allclose(back, np.clip(samples, -1, 32767 / 32768), atol=0.51 / 32768)


@given(ANYTHING)
def test_whatever_comes_in_what_goes_out_is_playable(samples: np.ndarray) -> None:
    back = pcm16_to_float(float_to_pcm16(samples))
    assert np.isfinite(back).all()
    assert not back[np.isnan(samples)].any()


def test_full_scale_does_not_crack() -> None:
    assert np.frombuffer(float_to_pcm16(np.array([1.0, 1.5, -1.0, -9.0], dtype=np.float32)), "<i2").tolist() == [
        32767,
        32767,
        -32768,
        -32768,
    ]


RATES = [(24_000, 16_000), (16_000, 24_000), (8_000, 16_000), (24_000, 8_000)]


@given(st.lists(st.integers(1, 700), min_size=1, max_size=20), st.sampled_from(RATES))
def test_pieces_resample_to_the_same_stream_as_the_whole(sizes: list[int], rates: tuple[int, int]) -> None:
    tone = np.sin(np.arange(sum(sizes)) * 0.05).astype(np.float32)
    stream = StreamResampler(*rates)
    out, start = [], 0
    for index, size in enumerate(sizes):
        out.append(stream.push(tone[start : start + size], last=index == len(sizes) - 1))
        start += size
    whole = StreamResampler(*rates).push(tone, last=True)
    np.testing.assert_allclose(np.concatenate(out), whole, atol=1e-6)
    assert abs(whole.size - tone.size * rates[1] / rates[0]) <= 1


@pytest.mark.parametrize(("from_hz", "to_hz"), RATES)
def test_resampling_holds_back_no_more_than_it_looks_ahead(from_hz: int, to_hz: int) -> None:
    stream, frame = StreamResampler(from_hz, to_hz), from_hz // 50
    given = 0
    for frames in range(1, 50):
        given += stream.push(np.zeros(frame, dtype=np.float32)).size
        assert frames / 50 - given / to_hz <= 33 / min(from_hz, to_hz)


@pytest.mark.parametrize(("from_hz", "to_hz"), RATES)
def test_resampling_keeps_what_both_rates_can_carry_and_nothing_else(from_hz: int, to_hz: int) -> None:
    def through(tone_hz: float) -> np.ndarray:
        tone = np.sin(2 * np.pi * tone_hz * np.arange(from_hz) / from_hz).astype(np.float32)
        return StreamResampler(from_hz, to_hz).push(tone, last=True)[to_hz // 10 : -to_hz // 10]

    highest_hz = min(from_hz, to_hz) / 2
    low_hz = 0.8 * highest_hz
    expected = np.sin(2 * np.pi * low_hz * np.arange(to_hz) / to_hz)[to_hz // 10 : -to_hz // 10]
    np.testing.assert_allclose(through(low_hz), expected, atol=0.001)
    if to_hz < from_hz:
        assert np.abs(through(highest_hz + 100)).max() < 0.001


def test_equal_rates_pass_through() -> None:
    samples = np.ones(5, dtype=np.float32)
    assert StreamResampler(16_000, 16_000).push(samples) is samples
