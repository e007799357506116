"""Looking again and again must not be wrong more often than looking once."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import ndtr, ndtri

from harness import sequential, statistics
from harness.sequential import BudgetError, Look, nominal_levels, over_looks, parse_budget
from harness.statistics import Estimate


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("10m", 600), ("1.5h", 5400), (" 2 m ", 120), ("0.5s", 0.5)]
)
def test_a_budget_is_a_time(text: str, seconds: float) -> None:
    assert parse_budget(text) == seconds


@pytest.mark.parametrize("text", ["", "10", "m", "-3m", "0m", "10 minutes", "1e3s", "nan s", "5m3s"])
def test_what_is_no_time_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(BudgetError, match="like 90s, 10m"):
        parse_budget(text)


def test_one_look_spends_all() -> None:
    assert nominal_levels((40,), (1.0,)) == (pytest.approx(0.05),)


def test_the_levels_are_those_of_the_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    """Five equal looks that spend in proportion, one-sided 0.025 (Jennison and Turnbull, 7.2); Pocock's for two."""
    monkeypatch.setattr(sequential, "ALPHA", 0.025)
    levels = nominal_levels.__wrapped__((1, 2, 3, 4, 5), (0.2, 0.4, 0.6, 0.8, 1.0))
    assert [round(-float(ndtri(level)), 2) for level in levels] == [2.58, 2.49, 2.41, 2.34, 2.28]
    first = float(ndtr(-2.178)) / 0.025
    assert -ndtri(nominal_levels.__wrapped__((1, 2), (first, 1.0))) == pytest.approx([2.178, 2.178], abs=1e-3)


@given(
    st.lists(st.tuples(st.integers(1, 60), st.floats(0.01, 1)), min_size=1, max_size=12).map(
        lambda steps: (
            tuple(np.cumsum([n for n, _ in steps]).tolist()),
            tuple((np.cumsum([s for _, s in steps]) / sum(s for _, s in steps) * 0.999).tolist()),
        )
    )
)
def test_no_look_spends_more_than_the_whole(looks: tuple[tuple[int, ...], tuple[float, ...]]) -> None:
    levels = nominal_levels(*looks)
    assert all(0 < level < 0.05 for level in levels)
    assert max(levels) >= 0.05 * looks[1][-1] / len(levels) - 1e-9  # a union bound could not do better


@pytest.mark.parametrize(
    "looks", [((2, 1), (0.5, 1.0)), ((1, 2), (0.5, 0.5)), ((1, 2), (0.5, 1.1)), ((1,), (0.5, 1.0)), ((0,), (1.0,))]
)
def test_looks_that_do_not_grow_are_an_error(looks: tuple[tuple[int, ...], tuple[float, ...]]) -> None:
    with pytest.raises(ValueError, match="growing"):
        nominal_levels(*looks)


def test_nothing_is_spent_where_nothing_can_be_shown() -> None:
    asked: list[tuple[int, float]] = []

    def at(size: int, confidence: float) -> Estimate:
        asked.append((size, confidence))
        return Estimate(0.0, -1.0, 1.0, size)

    over_looks(at, [20, 40, 60], [0.3, 0.6, 1.0], smallest=59)
    assert asked[0] == (60, pytest.approx(0.95))


def test_the_innermost_bounds_of_all_looks_hold() -> None:
    """And the value is that of all samples, as they are at the last look."""
    at_look = {10: (2.5, 0.0, 5.0), 20: (3.0, 2.0, 9.0)}
    found = over_looks(lambda size, _: Estimate(*at_look[size], size), [10, 20], [0.5, 1.0])
    assert found == Estimate(3.0, 2.0, 5.0, 20)


def wrong_stops(p: float, *, corrected: bool, runs: int = 400) -> float:
    """How often a quantile that lies exactly at its limit is taken to be within it at any of 20 looks."""
    sizes = list(range(12, 241, 12))
    spent = [look / len(sizes) for look in range(1, len(sizes) + 1)]
    limit = -math.log(1 - p)
    wrong = 0
    for waits in np.random.default_rng(5).exponential(size=(runs, sizes[-1])).tolist():

        def at(size: int, confidence: float, waits: list[float] = waits) -> Estimate:
            return statistics.quantile(waits[:size], p, confidence)

        if corrected:
            high = over_looks(at, sizes, spent, smallest=statistics.smallest_n(p)).high
        else:
            high = min(at(size, statistics.CONFIDENCE).high for size in sizes)
        wrong += high <= limit
    return wrong / runs


@pytest.mark.parametrize("p", [0.5, 0.9])
def test_playing_on_until_it_passes_is_wrong_in_five_percent_and_without_correction_in_many_more(p: float) -> None:
    assert wrong_stops(p, corrected=True) <= 0.05
    assert wrong_stops(p, corrected=False) > 0.10


def test_looks_are_kept_beside_the_results(tmp_path: Path) -> None:
    looks = [Look(12, 0.25), Look(24, 0.5)]
    for look in looks:
        sequential.save(look, tmp_path)
    assert sequential.load(tmp_path) == looks


def test_a_run_without_a_budget_has_no_looks(tmp_path: Path) -> None:
    assert sequential.load(tmp_path) == []


@pytest.mark.parametrize("line", ["{", '{"turns": "1", "spent": 0.5}', '{"turns": 1, "spent": 2.0}', "[]"])
def test_a_damaged_file_of_looks_is_named(tmp_path: Path, line: str) -> None:
    (tmp_path / sequential.FILE_NAME).write_text(line + "\n")
    with pytest.raises(sequential.LooksError, match=r"looks\.jsonl, line 1"):
        sequential.load(tmp_path)
