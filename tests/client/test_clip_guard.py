"""What goes to a loudspeaker is safe, whatever came and in whatever pieces; what was safe already is not touched."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from client.audio import FloatArray, from_pcm16
from client.clip_guard import LARGEST_STEP, RAMP_SAMPLES, ClipGuard

ANYTHING = arrays.arrays(np.float32, st.integers(0, 300), elements=st.floats(width=32))
LOUD = arrays.arrays(np.float32, st.integers(0, 300), elements=st.sampled_from([-1.5, -1.0, -0.9, 0.0, 0.9, 1.0, 1.5]))
PIECES = st.lists(st.tuples(ANYTHING | LOUD, st.booleans()), max_size=4)


def assert_safe(played: FloatArray) -> None:
    assert played.dtype == np.float32
    assert np.all(np.isfinite(played))
    assert np.all(np.abs(played) <= 1.0)
    assert np.all(np.abs(np.diff(played.astype(np.float64), prepend=0.0)) <= LARGEST_STEP)


def sine(hz: float, *, seconds: float = 0.05, level: float = 1.0, rate_hz: int = 24_000) -> FloatArray:
    return (level * np.sin(2 * np.pi * hz * np.arange(round(seconds * rate_hz)) / rate_hz)).astype(np.float32)


@given(pieces=PIECES)
def test_whatever_arrives_is_safe_across_pieces_and_joints(pieces: list[tuple[FloatArray, bool]]) -> None:
    guard = ClipGuard()
    played = []
    for samples, joint in pieces:
        if joint:
            guard.join()
        played.append(guard.push(samples))
        assert len(played[-1]) == len(samples)
    assert_safe(np.concatenate([np.zeros(0, np.float32), *played]))


@given(frames=st.lists(st.binary(max_size=200), max_size=5))
def test_whatever_bytes_arrive_are_safe(frames: list[bytes]) -> None:
    guard = ClipGuard()
    played = [guard.push(from_pcm16(frame)) for frame in frames]
    assert [len(samples) for samples in played] == [len(frame) // 2 for frame in frames]
    assert_safe(np.concatenate([np.zeros(0, np.float32), *played]))


@given(samples=ANYTHING | LOUD, cuts=st.lists(st.integers(0, 300), max_size=4))
def test_the_pieces_in_which_it_comes_make_no_difference(samples: FloatArray, cuts: list[int]) -> None:
    guard = ClipGuard()
    pieces = [guard.push(piece) for piece in np.split(samples, sorted(cuts))]
    assert np.array_equal(np.concatenate(pieces), ClipGuard().push(samples))


@given(samples=arrays.arrays(np.float32, st.integers(0, 300), elements=st.floats(-0.5, 0.5, width=32)))
def test_clean_audio_passes_bit_for_bit(samples: FloatArray) -> None:
    assert ClipGuard().push(samples).tobytes() == samples.tobytes()


def test_a_full_scale_tone_of_a_sixth_of_the_rate_passes_bit_for_bit() -> None:
    tone = sine(3_990, seconds=1.0)
    assert np.abs(np.diff(tone)).max() > 0.99
    assert ClipGuard().push(tone).tobytes() == tone.tobytes()


@given(over=st.floats(1.01, 1.4), hz=st.floats(80, 400))
def test_what_int16_wrapped_around_stays_near_the_top(over: float, hz: float) -> None:
    """As of a tone that was too loud and cast without saturating: no crack is left of any of its peaks."""
    too_loud = sine(hz, level=over)
    wrapped = (np.rint(too_loud * 32_768).astype(np.int64) + 32_768) % 65_536 - 32_768
    played = ClipGuard().push(from_pcm16(wrapped.astype("<i2").tobytes()))
    assert_safe(played)
    assert np.abs(np.diff(wrapped)).max() > 60_000
    assert np.abs(np.diff(played)).max() < 0.2
    wraps = int(np.argmax(np.abs(too_loud) * 32_768 > 32_767.5))
    assert played[wraps] == pytest.approx(1.0, abs=0.15)


def test_a_break_becomes_a_ramp() -> None:
    played = ClipGuard().push(np.concatenate([np.full(10, 0.8), np.full(300, -0.8)]).astype(np.float32))
    steps = np.diff(played[9:])
    assert steps[0] == 0.0
    assert np.abs(steps).max() == pytest.approx(1.6 / RAMP_SAMPLES, rel=1e-3)
    assert np.all(played[10 + RAMP_SAMPLES :] == np.float32(-0.8))


def test_a_joint_is_a_ramp_however_small_the_step() -> None:
    guard = ClipGuard()
    guard.push(np.full(10, 0.3, np.float32))
    guard.join()
    silenced = guard.push(np.zeros(200, np.float32))
    assert silenced[0] == np.float32(0.3)
    assert np.all(np.diff(silenced) <= 0.0)
    assert np.abs(np.diff(silenced)).max() < 0.003
    assert not silenced[RAMP_SAMPLES:].any()


def test_a_frame_that_is_no_number_is_silence_with_a_ramp_at_either_end() -> None:
    tone = sine(220, level=0.5, seconds=0.1)
    broken = tone.copy()
    broken[500:1_500] = np.nan
    played = ClipGuard().push(broken)
    assert np.array_equal(played[:500], tone[:500])
    assert not played[500 + RAMP_SAMPLES : 1_500].any()
    assert np.array_equal(played[1_500 + RAMP_SAMPLES :], tone[1_500 + RAMP_SAMPLES :])
    assert np.abs(np.diff(played)).max() < 0.06
