"""How large a change is, how surely, and whether it is one: bootstrap in blocks of clips, exact tests of counts, Holm.

Each effect is B against A; more is worse.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from scipy.special import bdtrc

from harness import statistics

SMALLEST_BLOCKS = 5
"""With fewer clips than this, how much clips differ cannot be told from so few draws."""

RESAMPLES = 5_000

Floats: TypeAlias = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Effect:
    """A change with its evidence.

    Attributes:
        value: the estimate: the mean log ratio, or a difference of two rates.
        p_worse: how likely at least so much is where B is no worse than A.
        p_better: how likely so little is where B is no better than A.
        bounds: one-sided bounds, lower and upper, at a level (0.05 for 95 % each).
    """

    value: float
    p_worse: float
    p_better: float
    bounds: Callable[[float], tuple[float, float]]


def log_ratio(blocks: Sequence[Sequence[float]]) -> Effect:
    """The mean of paired log ratios, given clip by clip."""
    table = np.array([(sum(block), len(block)) for block in blocks], dtype=np.float64)

    def mean(sums: Floats) -> Floats:
        return np.asarray(sums[..., 0] / sums[..., 1])

    def slope(sums: Floats) -> Floats:
        return np.stack([1 / sums[..., 1], -sums[..., 0] / sums[..., 1] ** 2], axis=-1)

    return _studentised(table, mean, slope)


def rate_difference(blocks: Sequence[tuple[int, int, int, int]]) -> Effect:
    """Errors over units of B less that of A; a block is a clip's errors and units in A, then in B, summed."""
    table = np.array(blocks, dtype=np.float64)

    def difference(sums: Floats) -> Floats:
        return np.asarray(sums[..., 2] / sums[..., 3] - sums[..., 0] / sums[..., 1])

    def slope(sums: Floats) -> Floats:
        errors_a, units_a, errors_b, units_b = np.moveaxis(sums, -1, 0)
        return np.stack([-1 / units_a, errors_a / units_a**2, 1 / units_b, -errors_b / units_b**2], axis=-1)

    return _studentised(table, difference, slope)


def count_difference(only_a: int, only_b: int, pairs: int) -> Effect:
    """The share of turns with an event in B less that in A, from the pairs in which just one side has it.

    Where the two are alike, each such pair falls to either side like a coin, whatever the clip, so that the test is
    exact (McNemar, Psychometrika 12, 1947). The bounds are those of Clopper and Pearson for the share of pairs that
    are new on one side, which the difference cannot exceed.
    """
    tosses = only_a + only_b

    def bounds(level: float) -> tuple[float, float]:
        confidence = 1 - level
        return -statistics.share(only_a, pairs, confidence).high, statistics.share(only_b, pairs, confidence).high

    return Effect((only_b - only_a) / pairs, _at_least(only_b, tosses), _at_least(only_a, tosses), bounds)


def holm(p_values: Mapping[str, float], level: float) -> set[str]:
    """The names that are rejected, with an error in any of them in at most `level`.

    Holm, A simple sequentially rejective multiple test procedure, Scandinavian Journal of Statistics 6, 1979.
    """
    rejected: set[str] = set()
    for place, name in enumerate(sorted(p_values, key=lambda name: p_values[name])):
        if p_values[name] > level / (len(p_values) - place):
            break
        rejected.add(name)
    return rejected


def _studentised(table: Floats, estimate: Callable[[Floats], Floats], slope: Callable[[Floats], Floats]) -> Effect:
    """A function of column sums with bootstrap-t bounds over whole rows (Efron and Tibshirani, An Introduction to the
    Bootstrap, 12.5); its standard error is by linearisation, of each draw's own.

    Args:
        table: shape (blocks, columns).
        estimate: of sums, shape (..., columns); it does not change where all sums double.
        slope: its derivatives, of the same shape.
    """
    value = float(estimate(table.sum(axis=0)))
    error = math.sqrt(float(np.sum((table @ slope(table.sum(axis=0))) ** 2)))
    if error < 1e-12:  # the two sides are alike in every clip, to the last digit
        return Effect(value, float(value <= 0), float(value >= 0), lambda level: (value, value))
    drawn = _draws(len(table))
    with np.errstate(divide="ignore", invalid="ignore"):
        sums = drawn @ table
        influences = slope(sums) @ table.T
        errors = np.sqrt(np.einsum("ij,ij,ij->i", drawn, influences, influences))
        scores = (estimate(sums) - value) / errors
    # A draw of clips that are all alike has no spread to be measured by.
    scores = np.sort(scores[np.isfinite(scores) & (errors > 1e-6 * error)])

    def bounds(level: float) -> tuple[float, float]:
        out = min(round(level * scores.size), scores.size // 2)  # scores that lie beyond each bound
        return value - float(scores[-1 - out]) * error, value - float(scores[out]) * error

    def beyond(score: float) -> float:
        """The share of draws at least as high; never none, since there are only so many (Davison and Hinkley, 4.2)."""
        return float(1 + scores.size - np.searchsorted(scores, score)) / (1 + scores.size)

    def below(score: float) -> float:
        return float(1 + np.searchsorted(scores, score, side="right")) / (1 + scores.size)

    return Effect(value, beyond(value / error), below(value / error), bounds)


@lru_cache(maxsize=8)
def _draws(blocks: int) -> Floats:
    """How often each block is drawn: shape (RESAMPLES, blocks). Seeded: the same figures give the same verdict."""
    return np.random.default_rng(0).multinomial(blocks, np.full(blocks, 1 / blocks), RESAMPLES).astype(np.float64)


def _at_least(heads: int, tosses: int) -> float:
    return float(bdtrc(heads - 1, tosses, 0.5)) if heads else 1.0
