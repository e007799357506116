"""The statistics of a comparison: bounds that hold as often as they say, and tests that are as strict as they say."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.comparison import effects
from harness.comparison.effects import count_difference, holm, log_ratio, rate_difference


def test_a_log_ratio_is_the_mean_over_pairs() -> None:
    found = log_ratio([[0.1, 0.3], [0.2], [0.0], [0.4], [0.2]])
    assert found.value == pytest.approx(1.2 / 6)
    low, high = found.bounds(0.05)
    assert low < found.value < high
    assert found.p_worse < 0.05
    assert found.p_better > 0.95


def test_the_p_value_and_the_bound_agree() -> None:
    rng = np.random.default_rng(11)
    for _ in range(40):
        found = log_ratio([list(rng.normal(0.02, 0.05, 2)) for _ in range(10)])
        for level in (0.01, 0.05, 0.2):
            low = found.bounds(level)[0]
            if abs(low) > 1e-3:
                assert (low > 0) == (found.p_worse < level)


@pytest.mark.parametrize(("clips", "spread"), [(6, 0.05), (12, 0.0), (12, 0.05), (36, 0.02)])
def test_bounds_cover_as_often_as_they_say(clips: int, spread: float) -> None:
    """Clips that differ in how much they changed, and noise within them; three standard deviations of 400 draws."""
    rng = np.random.default_rng(3)
    beyond = np.zeros(2)
    for _ in range(400):
        truth = rng.normal(0, spread, clips)
        low, high = log_ratio([list(rng.normal(mean, 0.06, 3)) for mean in truth]).bounds(0.05)
        beyond += (low > 0, high < 0)
    assert max(beyond / 400) < 0.05 + 3 * math.sqrt(0.05 * 0.95 / 400)
    assert min(beyond / 400) > 0.01  # and they are not so wide that nothing could be found


def test_two_sides_that_are_alike_have_no_doubt() -> None:
    found = rate_difference([(1, 10, 1, 10)] * 8)
    assert (found.value, *found.bounds(0.05)) == (0, 0, 0)
    assert (found.p_worse, found.p_better) == (1, 1)


def test_a_rate_difference_is_of_sums() -> None:
    found = rate_difference([(1, 10, 3, 10), (0, 90, 0, 90), (1, 20, 1, 30), (0, 5, 1, 5), (2, 10, 2, 10)])
    assert found.value == pytest.approx(7 / 145 - 4 / 135)


def test_rate_bounds_cover_as_often_as_they_say() -> None:
    rng = np.random.default_rng(4)
    beyond = np.zeros(2)
    for _ in range(400):
        rates = rng.beta(2, 18, 20)
        blocks = [(int(rng.binomial(60, rate)), 60, int(rng.binomial(60, rate)), 60) for rate in rates]
        low, high = rate_difference(blocks).bounds(0.05)
        beyond += (low > 0, high < 0)
    assert max(beyond / 400) < 0.05 + 3 * math.sqrt(0.05 * 0.95 / 400)
    assert min(beyond / 400) > 0.01


def test_the_same_figures_give_the_same_bounds() -> None:
    blocks = [[0.1, 0.3], [0.2], [0.0], [0.4], [0.2]]
    assert log_ratio(blocks).bounds(0.05) == log_ratio(blocks).bounds(0.05)


def test_counts_are_tossed_like_coins() -> None:
    """Five of five: 1/32. None of 29 pairs: less than a tenth, as the tables of Clopper and Pearson say."""
    assert count_difference(0, 5, 40).p_worse == pytest.approx(1 / 32)
    assert count_difference(5, 0, 40).p_better == pytest.approx(1 / 32)
    assert count_difference(0, 0, 40).p_worse == 1
    low, high = count_difference(0, 0, 29).bounds(0.05)
    assert -low == high == pytest.approx(1 - 0.05 ** (1 / 29))


def test_a_stricter_level_has_wider_bounds() -> None:
    rng = np.random.default_rng(5)
    effects_of_all = (
        count_difference(1, 2, 60),
        log_ratio([list(rng.normal(0, 0.1, 2)) for _ in range(12)]),
        rate_difference([(1, 10, errors, 10) for errors in range(8)]),
    )
    for effect in effects_of_all:
        low, high = effect.bounds(0.05)
        lower, higher = effect.bounds(0.01)
        assert lower < low < high < higher


@given(st.integers(0, 12), st.integers(0, 12), st.integers(0, 80))
def test_counts_lie_between_their_bounds(only_a: int, only_b: int, others: int) -> None:
    pairs = only_a + only_b + others
    if pairs:
        found = count_difference(only_a, only_b, pairs)
        low, high = found.bounds(0.05)
        assert low <= found.value <= high
        assert 0 < found.p_worse <= 1
        assert 0 < found.p_better <= 1


def test_holm_stops_at_the_first_that_does_not_hold() -> None:
    assert holm({"a": 0.01, "b": 0.02, "c": 0.9}, 0.05) == {"a", "b"}
    assert holm({"a": 0.02, "b": 0.02, "c": 0.02}, 0.05) == set()
    assert holm({"a": 0.016, "b": 0.026, "c": 0.04}, 0.05) == {"a"}
    assert holm({}, 0.05) == set()


@given(st.lists(st.floats(0, 1), min_size=1, max_size=6), st.floats(0.001, 0.2))
def test_holm_lies_between_bonferroni_and_no_correction(p_values: list[float], level: float) -> None:
    named = {str(place): p for place, p in enumerate(p_values)}
    rejected = holm(named, level)
    assert {name for name, p in named.items() if p <= level / len(named)} <= rejected
    assert rejected <= {name for name, p in named.items() if p <= level}


def test_a_p_value_is_never_none_of_the_draws() -> None:
    rng = np.random.default_rng(0)
    found = log_ratio([list(rng.normal(9, 0.01, 2)) for _ in range(12)])
    assert found.p_worse == pytest.approx(1 / effects.RESAMPLES, rel=0.01)
