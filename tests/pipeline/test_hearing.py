"""The caller's audio by position, and the input's sample clock."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pipeline.audio import INPUT_RATE_HZ
from pipeline.hearing import AudioWindow, SampleClock


def test_the_sample_clock_counts_samples_and_the_time_since() -> None:
    now = 100.0
    clock = SampleClock(lambda: now)
    clock.advance(INPUT_RATE_HZ // 2)
    now = 100.25
    assert clock.now_s() == 0.75
    clock.advance(INPUT_RATE_HZ // 2)
    assert clock.now_s() == 1.0


@given(st.lists(st.integers(1, 400), min_size=1, max_size=30), st.integers(0, 4000), st.integers(0, 4000))
def test_audio_is_found_by_its_position_whatever_was_forgotten(sizes: list[int], forget: int, start: int) -> None:
    everything = np.arange(sum(sizes), dtype=np.float32)
    window, position = AudioWindow(), 0
    for size in sizes:
        window.append(everything[position : position + size])
        position += size
    window.forget_before(forget / INPUT_RATE_HZ)
    held = window.since(start / INPUT_RATE_HZ)
    first = max(start, round(window.start_s * INPUT_RATE_HZ))
    assert held.size == max(0, everything.size - first)
    assert (held == everything[everything.size - held.size :]).all()
    assert window.end_s == everything.size / INPUT_RATE_HZ
