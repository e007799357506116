"""One bad night is not a change; a broken limit is said at once; a torn line does no harm."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness import history
from harness.history import HistoryLine, change_points, is_alarm, trends
from harness.results import Results, RunHeader, Verdict, VerdictRow

LINE = HistoryLine("run", "2026-11-01T02:00:00+00:00", "5e71e5", "a series", "ttfa_s p50", "all", "pass", 12, 2.0, 0.6)


def nights(
    values: Sequence[float | None], verdicts: dict[int, Verdict] | None = None, **others: object
) -> list[HistoryLine]:
    return [
        replace(
            LINE,
            run=f"run {night}",
            started=f"2026-{10 + night // 28}-{1 + night % 28:02}T02:00:00+00:00",
            value=value,
            verdict=(verdicts or {}).get(night, "pass"),
            **others,  # type: ignore[arg-type]  # a test's shorthand
        )
        for night, value in enumerate(values)
    ]


def trend(
    values: Sequence[float | None], verdicts: dict[int, Verdict] | None = None, **others: object
) -> history.Trend:
    (found,) = trends(nights(values, verdicts, **others))
    return found


CALM = [0.60, 0.61, 0.59, 0.60, 0.62, 0.60, 0.61]


def test_calm_nights_are_steady() -> None:
    found = trend(CALM)
    assert (found.state, found.changes) == ("steady", ())
    assert found.spread == pytest.approx(1.4826 * 0.01 / 0.6)
    assert not is_alarm(found)


def test_one_bad_night_does_not_cry_wolf() -> None:
    found = trend([*CALM, 0.90])
    assert found.state == "one night off"
    assert not is_alarm(found)
    assert trend([*CALM, 0.90, 0.60, 0.61]).state == "steady"
    assert trend([*CALM, 0.90, 0.60, 0.61]).changes == ()


@pytest.mark.parametrize("last", [[0.75, 0.76], [0.75, 0.60, 0.76]])
def test_two_of_three_bad_nights_are_a_change_and_an_alarm(last: list[float]) -> None:
    found = trend([*CALM, *last])
    assert found.state == "changed"
    assert is_alarm(found)
    (change,) = found.changes
    assert change.date == "2026-10-08"
    assert (change.before, change.after) == (0.60, pytest.approx(0.75, abs=0.01))


def test_a_change_is_an_alarm_on_the_night_that_shows_it_and_the_new_normal_afterwards() -> None:
    settled = trend([*CALM, 0.75, 0.76, 0.74, 0.75, 0.75, 0.76])
    assert settled.state == "steady"
    assert len(settled.changes) == 1
    assert not is_alarm(settled)


def test_a_change_for_the_better_is_no_alarm() -> None:
    found = trend([*CALM, 0.45, 0.44])
    assert found.state == "changed"
    assert not is_alarm(found)


def test_a_high_and_a_low_night_are_no_change() -> None:
    assert trend([*CALM, 0.75, 0.45]).changes == ()


def test_a_small_step_is_no_change_however_calm_it_was() -> None:
    assert trend([0.6] * 10 + [0.62] * 5).changes == ()


def test_a_broken_limit_alarms_at_once() -> None:
    found = trend([*CALM, 2.5], {7: "fail"})
    assert found.state == "limit broken"
    assert is_alarm(found)
    assert is_alarm(trend([2.5], {0: "fail"}))
    assert trend([*CALM, 2.5, 0.6], {7: "fail"}).state == "steady"


def test_few_nights_say_so() -> None:
    assert trend([0.6, 0.9]).state == "too few nights"
    assert trend([0.6, 0.9]).spread is None


def test_a_night_without_an_answer_stands_out() -> None:
    assert trend([*CALM, None]).state == "one night off"
    found = trend([*CALM, None, None])
    assert found.state == "changed"
    assert is_alarm(found)
    assert found.changes[0].after == math.inf


def test_runs_of_one_night_are_one() -> None:
    lines = [replace(line, started=f"2026-11-01T0{n}:00:00+00:00") for n, line in enumerate(nights([0.6, 0.9, 0.61]))]
    (night,) = trends(lines)[0].nights
    assert (night.value, night.runs, night.date) == (0.61, 3, "2026-11-01")


def test_rates_may_move_by_two_points() -> None:
    assert trend([0.0] * 8 + [0.01, 0.01], gate="cut_ins").changes == ()
    assert len(trend([0.0] * 8 + [0.05, 0.05], gate="cut_ins").changes) == 1


@pytest.mark.parametrize("sigma", [0.02, 0.08])
def test_two_hundred_nights_of_noise_are_hardly_ever_a_change_and_a_slowdown_is_found(sigma: float) -> None:
    """Single wild nights among them, as a busy machine has: one in twenty is half as slow again."""
    rng = np.random.default_rng(8)
    false, found = 0, 0
    for _ in range(20):
        noise = np.exp(rng.normal(0, sigma, 200)) * np.where(rng.random(200) < 0.05, 1.5, 1.0)
        false += len(change_points((0.6 * noise).tolist()))
        slow = 0.6 * noise[:40]
        slow[30:] *= 1 + 5 * sigma
        found += any(30 <= night <= 34 for night in change_points(slow.tolist()))
    assert false / (20 * 200) < 0.015
    assert found >= 16


@given(st.lists(st.none() | st.floats(0, 10), max_size=40))
def test_changes_lie_within_the_nights_and_in_order(values: list[float | None]) -> None:
    found = change_points(values)
    assert found == sorted(set(found))
    assert all(history.NIGHTS_BEFORE <= night < len(values) for night in found)


def test_lines_are_appended_and_read(tmp_path: Path) -> None:
    path = tmp_path / "reports" / "history.jsonl"
    first, second = nights([0.6, 0.7])
    history.append([first], path)
    history.append([second], path)
    history.append([], path)
    assert history.load(path) == history.History((first, second), 0)


@pytest.mark.parametrize("cut", range(1, 60, 7))
def test_a_torn_line_is_left_out_and_swallows_no_other(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "history.jsonl"
    lines = nights([0.6, 0.7, 0.8])
    history.append(lines[:2], path)
    path.write_bytes(path.read_bytes()[:-cut])
    history.append(lines[2:], path)
    found = history.load(path)
    assert found.lines[-1] == lines[2]
    assert found.lines[0] == lines[0]
    assert (len(found.lines), found.torn) in ((2, 1), (3, 0))


@given(st.binary(max_size=300))
def test_whatever_lies_there_is_left_out(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.mktemp("any") / "history.jsonl"
    path.write_bytes(content)
    history.append([LINE], path)
    assert history.load(path).lines[-1] == LINE


def test_no_history_is_empty(tmp_path: Path) -> None:
    assert history.load(tmp_path / "none.jsonl") == history.History((), 0)


def run(*verdicts: VerdictRow, **header: object) -> Results:
    base = RunHeader("realtime", "embedded", "synthetic", "2026-11-01T02:00:00+00:00", versions={"latency": "1"})
    return Results(replace(base, **header), (), verdicts)  # type: ignore[arg-type]  # a test's shorthand


KEPT = VerdictRow("ttfa_s p50", "latency", "all", "pass", 12, "", 2.0, 0.6, 0.5, 0.7)


def test_a_run_adds_a_line_a_limit() -> None:
    beside = VerdictRow("ttfa_s against the baseline", "latency", "all", "pass", 12, "", 0.05, 0.0)
    valid = VerdictRow("valid turns", "run", "all", "pass", 12, "", 0.8, 1.0)
    (line,) = history.lines_of(run(valid, KEPT, beside, machine={"calibration_ms": "50"}), "monday")
    assert (line.run, line.gate, line.value, line.limit, line.calibration_ms) == (
        "monday",
        "ttfa_s p50",
        0.6,
        2.0,
        50.0,
    )


@pytest.mark.parametrize("verdict", ["invalid", "inconclusive"])
def test_an_invalid_or_stopped_run_adds_nothing(verdict: Verdict) -> None:
    assert history.lines_of(run(VerdictRow("all played", "run", "all", verdict, 1, ""), KEPT), "monday") == []


def test_runs_of_other_machines_targets_and_definitions_are_other_series() -> None:
    series = {
        history.lines_of(run(KEPT, **header), "monday")[0].series
        for header in (
            {},
            {"profile": "l4"},
            {"target": "endpoint"},
            {"versions": {"latency": "2"}},
            {"machine": {"cores": "64"}},
        )
    }
    assert len(series) == 5
    same = {history.lines_of(run(KEPT, started=s), "monday")[0].series for s in ("2026-11-01", "2026-11-02")}
    assert len(same) == 1


def test_the_noise_of_the_machine_is_told() -> None:
    lines = [replace(line, calibration_ms=50.0 + n % 3, late_ms=0.5 + n / 10) for n, line in enumerate(nights(CALM))]
    found = history.noise(lines, LINE.series)
    assert found.calibration_ms == 51.0
    assert found.spread == pytest.approx(1.4826 / 51)
    assert found.late_ms == pytest.approx(1.1)
    assert history.noise([], "none") == history.Noise(None, None, None)
