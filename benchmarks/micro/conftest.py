"""`measured`, the fixture by which everything here is timed, and what several benchmarks are given."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.micro.comparing import CALIBRATION, CLOCK
from harness.machine import calibration_loop
from pipeline.audio import FloatArray

LOOPS = 3


class Measured(Protocol):
    def __call__(self, work: Callable[[], Any], *, rounds: int | None = None) -> Any:
        """What `work` returns, after it was timed: in `rounds` of one call, or as many as there is time for."""
        ...


@pytest.fixture
def measured(benchmark: BenchmarkFixture) -> Measured:
    """Time a piece of work, between two looks at how fast the machine is just then."""

    def time(work: Callable[[], Any], *, rounds: int | None = None) -> Any:
        loops_s = [calibration_loop(CLOCK) for _ in range(LOOPS)]
        fixed: Any = benchmark.pedantic  # published without types
        result = fixed(work, rounds=rounds) if rounds else benchmark(work)
        loops_s += [calibration_loop(CLOCK) for _ in range(LOOPS)]
        benchmark.extra_info[CALIBRATION] = min(loops_s)
        return result

    return time


def voice(seconds: float, rate_hz: int) -> FloatArray:
    """Something as loud, as bright and as uneven as speech: float32 mono, shape (samples,), in [-0.5, 0.5]."""
    at_s = np.arange(round(seconds * rate_hz)) / rate_hz
    pitch = 2 * np.pi * np.cumsum(140 + 30 * np.sin(2 * np.pi * 0.7 * at_s)) / rate_hz
    partials = sum(np.sin(partial * pitch) / partial for partial in range(1, 12))
    syllables = np.clip(np.sin(2 * np.pi * 2 * at_s), 0, None) ** 0.5
    breath = 0.01 * np.random.default_rng(0).normal(size=at_s.size)
    return np.clip(0.2 * syllables * partials + breath * syllables, -0.5, 0.5).astype(np.float32)
