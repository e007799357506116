"""Quantiles and rates with confidence bounds that assume nothing about the distribution.

Bounds are one-sided, at 95 % where nothing else is asked for. A turn without an answer enters as infinity: order
statistics do not mind.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import bdtr, betaincinv

CONFIDENCE = 0.95
RESAMPLES = 10_000


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure with its one-sided bounds; -inf or inf where so few samples give no bound."""

    value: float
    low: float
    high: float
    n: int


def smallest_n(p: float) -> int:
    """How many samples an upper bound of the p-quantile takes: 5 for the median, 59 for p95.

    With fewer, even the largest sample may well lie below the quantile: 1 - p^n is less than the confidence. As many
    show by the lack of a single event that a share is less than 1 - p.
    """
    return math.ceil(math.log(1 - CONFIDENCE) / math.log(p))


def quantile(values: Sequence[float], p: float, confidence: float = CONFIDENCE) -> Estimate:
    """The p-quantile (nearest rank) with bounds by order statistics.

    The k-th smallest of n samples is an upper bound if P(Binomial(n, p) < k) is at least the confidence, and a lower
    bound if P(Binomial(n, p) >= k) is (David and Nagaraja, Order Statistics, 7.1).

    Raises:
        ValueError: no values, or p not inside (0, 1).
    """
    if not values or not 0 < p < 1:
        raise ValueError(f"a quantile takes values and 0 < p < 1, not {len(values)} values and p = {p}")
    ordered = sorted(values)
    n = len(ordered)
    at_most = bdtr(np.arange(n), n, p)
    above, below = np.flatnonzero(at_most >= confidence), np.flatnonzero(1 - at_most >= confidence)
    high = ordered[above[0]] if above.size else math.inf
    low = ordered[below[-1]] if below.size else -math.inf
    rank = math.ceil(p * n - 1e-9)  # 0.07 * 100 is a little more than 7
    return Estimate(ordered[rank - 1], low, high, n)


def share(events: int, n: int, confidence: float = CONFIDENCE) -> Estimate:
    """A share of n independent turns, with the bounds of Clopper and Pearson (Biometrika 26, 1934).

    Raises:
        ValueError: no turns, or more events than turns.
    """
    if not 0 <= events <= n or n == 0:
        raise ValueError(f"a share takes 0 <= events <= n and n > 0, not {events} of {n}")
    low = float(betaincinv(events, n - events + 1, 1 - confidence)) if events else 0.0
    high = float(betaincinv(events + 1, n - events, confidence)) if events < n else 1.0
    return Estimate(events / n, low, high, n)


def corpus_rate(errors: Sequence[int], units: Sequence[int], blocks: Sequence[Hashable]) -> Estimate:
    """Sum of errors over sum of units, with bounds from a bootstrap that draws whole blocks (speakers).

    All three have one entry an utterance; `n` of the answer is the number of blocks. The draws are seeded, so the same
    counts give the same bounds (percentile bootstrap: Efron and Tibshirani, An Introduction to the Bootstrap, 13.3;
    blocks: Bisani and Ney, ICASSP 2004).

    Raises:
        ValueError: nothing to divide by.
    """
    if not sum(units):
        raise ValueError("a rate takes reference units to divide by, and there are none")
    sums: dict[Hashable, list[int]] = {}
    for error, unit, block in zip(errors, units, blocks, strict=True):
        total = sums.setdefault(block, [0, 0])
        total[0] += error
        total[1] += unit
    table = np.array(list(sums.values()), dtype=np.float64)
    n = len(table)
    drawn = np.random.default_rng(0).multinomial(n, np.full(n, 1 / n), size=RESAMPLES) @ table
    rates = drawn[drawn[:, 1] > 0]
    low, high = np.quantile(rates[:, 0] / rates[:, 1], [1 - CONFIDENCE, CONFIDENCE])
    return Estimate(sum(errors) / sum(units), float(low), float(high), n)
