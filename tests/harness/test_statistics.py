from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness import statistics

QUANTILES = st.sampled_from([0.5, 0.75, 0.9, 0.95])


@pytest.mark.parametrize(("p", "n"), [(0.5, 5), (0.9, 29), (0.95, 59), (0.99, 299)])
def test_smallest_n_is_where_an_upper_bound_begins(p: float, n: int) -> None:
    assert statistics.smallest_n(p) == n
    assert math.isfinite(statistics.quantile(list(range(n)), p).high)
    assert math.isinf(statistics.quantile(list(range(n - 1)), p).high)


def test_quantile_is_the_nearest_rank() -> None:
    values = list(range(1, 101))
    assert [statistics.quantile(values, p).value for p in (0.07, 0.5, 0.95)] == [7, 50, 95]


def test_bounds_of_a_median_of_ten() -> None:
    """P(Binomial(10, 1/2) <= 7) = 0.945 < 0.95 <= P(... <= 8): the 9th and, by symmetry, the 2nd of ten."""
    found = statistics.quantile(list(range(1, 11)), 0.5)
    assert (found.low, found.high) == (2, 9)


def test_so_few_that_there_is_no_bound() -> None:
    """All of four lie above the median once in sixteen times, which is more often than 5 %."""
    four = statistics.quantile([1.0, 2.0, 3.0, 4.0], 0.5)
    assert (four.low, four.high) == (-math.inf, math.inf)


def test_turns_without_an_answer_count_as_infinity() -> None:
    assert statistics.quantile([1.0, 2.0, math.inf, math.inf, math.inf], 0.5).value == math.inf


@given(st.lists(st.floats(-10, 10) | st.just(math.inf), min_size=1, max_size=80), QUANTILES)
def test_bounds_hold_the_quantile_between_them(values: list[float], p: float) -> None:
    found = statistics.quantile(values, p)
    assert found.low <= found.value <= found.high
    assert found.value in values


@pytest.mark.parametrize(("p", "n"), [(0.5, 5), (0.5, 20), (0.9, 40), (0.95, 85)])
def test_bounds_cover_as_often_as_they_say(p: float, n: int) -> None:
    draws = np.random.default_rng(7).exponential(size=(2_000, n))
    truth = -math.log(1 - p)
    estimates = [statistics.quantile(list(row), p) for row in draws]
    assert np.mean([estimate.high >= truth for estimate in estimates]) > 0.94
    assert np.mean([estimate.low <= truth for estimate in estimates]) > 0.94


@pytest.mark.parametrize(("values", "p"), [([], 0.5), ([1.0], 0.0), ([1.0], 1.0)])
def test_quantile_of_nothing_is_an_error(values: list[float], p: float) -> None:
    with pytest.raises(ValueError, match="takes values"):
        statistics.quantile(values, p)


def test_share_bounds_are_those_of_the_tables() -> None:
    assert statistics.share(0, 29).high == pytest.approx(1 - 0.05 ** (1 / 29))
    assert statistics.share(0, 29).high < 0.10 < statistics.share(0, 28).high
    assert statistics.share(4, 4).low == pytest.approx(0.05 ** (1 / 4))
    assert (statistics.share(0, 5).low, statistics.share(5, 5).high) == (0.0, 1.0)


@given(st.integers(1, 200).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_share_lies_between_its_bounds(counts: tuple[int, int]) -> None:
    found = statistics.share(*counts)
    assert 0 <= found.low <= found.value <= found.high <= 1


@pytest.mark.parametrize(("events", "n"), [(0, 0), (2, 1), (-1, 3)])
def test_share_of_impossible_counts_is_an_error(events: int, n: int) -> None:
    with pytest.raises(ValueError, match="a share takes"):
        statistics.share(events, n)


def test_corpus_rate_is_a_sum_over_a_sum() -> None:
    found = statistics.corpus_rate([1, 0], [1, 99], ["a", "b"])
    assert found.value == 1 / 100
    assert found.n == 2


def test_corpus_rate_draws_whole_speakers() -> None:
    """One bad speaker among many utterances is one draw, not many: the bounds must be wide."""
    errors, units = [9] * 10 + [0] * 40, [10] * 50
    by_speaker = statistics.corpus_rate(errors, units, ["bad"] * 10 + [f"good {i // 10}" for i in range(40)])
    by_clip = statistics.corpus_rate(errors, units, list(range(50)))
    assert by_speaker.high - by_speaker.low > 1.5 * (by_clip.high - by_clip.low)


def test_corpus_rate_is_the_same_each_time() -> None:
    counts = ([n % 7 for n in range(60)], [10 + n % 11 for n in range(60)], list(range(60)))
    assert statistics.corpus_rate(*counts) == statistics.corpus_rate(*counts)


def test_corpus_rate_without_reference_is_an_error() -> None:
    with pytest.raises(ValueError, match="divide by"):
        statistics.corpus_rate([3], [0], ["a"])
