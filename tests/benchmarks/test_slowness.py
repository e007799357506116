"""What a machine lost by being slow, and what of a lateness that explains."""

from __future__ import annotations

import multiprocessing
import time
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import slowness as module
from benchmarks.callers import sent
from benchmarks.slowness import Slowness, watched_slowness
from harness.recording import Chunk, Recording

STEP_S = 0.005


def watched(took_ms: list[float]) -> Slowness:
    """The work was done every 5 ms, from 100 s on."""
    return Slowness.of(100.0 + STEP_S * np.arange(len(took_ms)), np.array(took_ms) / 1000)


def behind_s(slowness: Slowness, at_s: float, busy: float) -> float:
    return float(slowness.behind_s(np.array([at_s]), busy)[0])


def test_at_its_usual_speed_a_machine_loses_nothing() -> None:
    slowness = watched([0.10, 0.11, 0.09, 0.14, 0.10, 0.12])
    assert slowness.share == 0.0
    assert behind_s(slowness, 100.02, 0.9) == 0.0


def test_at_a_tenth_of_its_speed_it_loses_nine_tenths_of_the_time() -> None:
    slowness = watched([0.1] * 10 + [1.0] * 4 + [0.1] * 10)
    assert slowness.share == pytest.approx(0.9 * 4 / 23)


def test_what_was_lost_is_made_up_for_while_there_is_nothing_else_to_do() -> None:
    slowness = watched([0.1] * 10 + [1.0] * 4 + [0.1] * 30)
    lost_s = 0.9 * 4 * STEP_S
    end_s = 100.0 + 13 * STEP_S
    assert behind_s(slowness, 100.0 + 9 * STEP_S, 0.5) == 0.0
    assert behind_s(slowness, end_s, 1.0) == pytest.approx(lost_s)
    made_up_s = 0.5 * 4 * (STEP_S - 0.9 * STEP_S)
    assert behind_s(slowness, end_s, 0.5) == pytest.approx(lost_s - made_up_s)
    assert behind_s(slowness, end_s + 2 * STEP_S, 0.5) == pytest.approx(lost_s - made_up_s - STEP_S)
    assert behind_s(slowness, end_s + 8 * STEP_S, 0.5) == 0.0


@given(st.lists(st.floats(0.01, 50.0), min_size=2, max_size=50))
def test_never_more_is_lost_than_the_time_that_passed(took_ms: list[float]) -> None:
    slowness = watched(took_ms)
    steps_s = np.diff(slowness.lost_s)
    assert (steps_s >= 0.0).all()
    assert (steps_s < STEP_S * 1.001).all()


def _spin() -> None:
    while True:
        pass


def test_that_others_have_the_processors_is_no_slowness_of_the_machine() -> None:
    """Or a server that takes both for itself would be excused."""
    context = multiprocessing.get_context("spawn")
    busy = [context.Process(target=_spin, daemon=True) for _ in range(multiprocessing.cpu_count() + 1)]
    for process in busy:
        process.start()
    try:
        with watched_slowness() as found:
            for process in busy:
                process.join(0.2)
    finally:
        for process in busy:
            process.kill()
            process.join()
    assert found[0].at_s.size > 10
    assert found[0].share < 0.5  # a machine that was slow by itself meanwhile loses a tenth


def test_time_without_the_processor_is_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    class End:
        """Of a pipe: asks 40 times for more, and then for what was found."""

        polls = 0
        told: Any = None

        def poll(self) -> bool:
            self.polls += 1
            return self.polls > 40

        def recv(self) -> None:
            pass

        def send(self, told: Any) -> None:
            self.told = told

    end, work = End(), module._work

    def kept_from_it() -> int:
        if end.polls % 3 == 0:
            time.sleep(0.03)
        return work()

    monkeypatch.setattr(module, "_work", kept_from_it)
    monkeypatch.setattr(module.os, "sched_setscheduler", lambda *_: None, raising=False)
    module._watch(end)  # type: ignore[arg-type]  # as much of a connection as it needs
    assert Slowness.of(*end.told).share < 0.4  # of the time of the clock 0.7


def test_late_is_what_comes_later_than_a_little_ahead_of_the_loudspeaker() -> None:
    recording = Recording("tone", "en", "realtime", 0.02, 0.6, rate_hz=1000)
    for at_s in (2.0, 2.0, 2.05, 2.5):
        recording.chunks.append(Chunk(at_s, bytes(400), 0))  # 0.2 s each
    at_s, late_s = sent(recording, 0.1)
    assert at_s == pytest.approx([2.0, 2.0, 2.05, 2.5])
    assert late_s == pytest.approx([0.0, -0.1, -0.25, 0.0])


def test_of_a_turn_without_a_reply_nothing_is_late() -> None:
    at_s, late_s = sent(Recording("tone", "en", "realtime", 0.02, 0.6, rate_hz=1000), 0.1)
    assert at_s.size == late_s.size == 0
