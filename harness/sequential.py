"""Looking at the same limits again and again, while turns are added, without being wrong more often than said.

Who takes more turns until a limit is kept will in the end see it kept by chance. So the error rate of 5 % is spent over
the looks: a look may use up what the time played since the last one is worth, as a share of the budget (spending by
calendar time: Lan and DeMets, Statistics in Medicine 8, 1989; spending in proportion: Kim and DeMets, Biometrika 74,
1987). Each look then has a nominal level of its own, smaller than 5 %, and its bounds hold together with those of all
other looks (repeated confidence intervals: Jennison and Turnbull, Group Sequential Methods, 2000, chapter 9).

A run without a budget looks once and spends all: its level is 5 %.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.optimize import brentq
from scipy.special import ndtr

from harness import jsonlines
from harness.statistics import CONFIDENCE, Estimate

FILE_NAME = "looks.jsonl"
"""Beside the results of a run that had a budget: with the turns, all that its verdicts were made of."""

ALPHA = 1 - CONFIDENCE

_GRID = 512
_FAR = 8.0
"""Standard deviations below which nothing is integrated: less than 1e-15 of the mass lies there."""
_BUDGET = re.compile(r"(\d+(?:\.\d+)?)\s*(s|m|h)")
_UNITS_S = {"s": 1.0, "m": 60.0, "h": 3600.0}


@dataclass(frozen=True, slots=True)
class Look:
    """A time at which verdicts were made.

    Attributes:
        turns: how many rows of the results there were.
        spent: how much of the error rate could be spent by then, 0 to 1.
    """

    turns: int
    spent: float = 1.0


class BudgetError(ValueError):
    """A budget that is no time: names it, and shows some that are."""


def parse_budget(text: str) -> float:
    """`90s`, `10m` or `1.5h` in seconds.

    Raises:
        BudgetError: it is none of these, or no time at all.
    """
    match = _BUDGET.fullmatch(text.strip())
    seconds = float(match[1]) * _UNITS_S[match[2]] if match else 0.0
    if not seconds:
        raise BudgetError(f"a budget is a time to play for, like 90s, 10m or 1.5h, not {text!r:.40}")
    return seconds


class LooksError(ValueError):
    """A file of looks that cannot be read: names the file, the line, the reason."""


def save(look: Look, folder: Path) -> None:
    """Add a look to a run's folder.

    Raises:
        OSError: it cannot be written.
    """
    with (folder / FILE_NAME).open("a", encoding="utf-8") as file:
        file.write(jsonlines.encode(look) + "\n")


def load(folder: Path) -> list[Look]:
    """The looks of a run, from which its verdicts can be made again; none where it had no budget.

    Raises:
        LooksError: a line is not a look.
    """
    path = folder / FILE_NAME
    looks: list[Look] = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines() if path.exists() else [], 1):
        try:
            look = jsonlines.decode(Look, jsonlines.parse(line))
        except jsonlines.LineError as error:
            raise LooksError(f"{path}, line {number}: {error}") from None
        if look.turns < 0 or not 0 <= look.spent <= 1:
            raise LooksError(f"{path}, line {number}: a look is after some turns and has spent 0 to 1, not {look}")
        looks.append(look)
    return looks


@lru_cache(maxsize=1024)
def nominal_levels(information: tuple[int, ...], spent: tuple[float, ...]) -> tuple[float, ...]:
    """The one-sided level of each look at which all looks together are wrong in 5 %.

    The recursion of Armitage, McPherson and Rowe (Journal of the Royal Statistical Society A 132, 1969) for a score
    that grows like Brownian motion; the levels are used with exact tests and with bootstraps alike.

    Args:
        information: samples at each look, growing.
        spent: share of the error rate that may be spent by each look, growing, the last at most 1.

    Raises:
        ValueError: they do not grow, or do not go together.
    """
    if len(information) != len(spent) or not _grows(information) or not _grows(spent) or (spent and spent[-1] > 1):
        raise ValueError(f"looks have growing samples and growing shares up to 1, not {information} and {spent}")
    levels: list[float] = []
    places: npt.NDArray[np.float64] = np.zeros(1)
    weights: npt.NDArray[np.float64] = np.ones(1)  # of the score at `places`, where no look has decided yet
    before, spent_before = 0, 0.0
    for now, share in zip(information, spent, strict=True):
        step, height, may_spend = math.sqrt(now - before), math.sqrt(now), ALPHA * (share - spent_before)
        boundary = _boundary(places, weights, step, height, may_spend)
        levels.append(float(ndtr(-boundary)))
        ahead = np.linspace(-_FAR * height, boundary * height, _GRID)
        density = np.exp(-0.5 * ((ahead[:, None] - places) / step) ** 2) @ weights / (step * math.sqrt(2 * math.pi))
        places, weights = ahead, density * _trapezoid(ahead)
        before, spent_before = now, share
    return tuple(levels)


def over_looks(
    at: Callable[[int, float], Estimate], sizes: Sequence[int], spent: Sequence[float], *, smallest: float = 1
) -> Estimate:
    """An estimate after several looks, with bounds that hold at all of them together: the innermost of each side.

    Where the samples changed so much between the looks that the lower bound lies above the upper, both are given.

    Args:
        at: the estimate from the first so many samples, with one-sided bounds at a confidence.
        sizes: samples at each look, at least one look.
        spent: share of the error rate that may be spent by each look.
        smallest: with fewer samples than this no look is made, so that nothing is spent where nothing can be shown.
    """
    made: list[tuple[int, float]] = []
    for size, share in zip(sizes, spent, strict=True):
        if size >= smallest and (not made or (size > made[-1][0] and share > made[-1][1])):
            made.append((size, share))
    if not made:
        made = [(sizes[-1], spent[-1])]
    levels = nominal_levels(tuple(size for size, _ in made), tuple(share for _, share in made))
    found = [at(size, 1 - level) for (size, _), level in zip(made, levels, strict=True)]
    low, high = max(one.low for one in found), min(one.high for one in found)
    return Estimate(at(sizes[-1], CONFIDENCE).value, low, high, sizes[-1])


def _boundary(
    places: npt.NDArray[np.float64], weights: npt.NDArray[np.float64], step: float, height: float, may_spend: float
) -> float:
    """The standardised score that is crossed, by those which had not crossed before, with probability `may_spend`."""

    def too_often(boundary: float) -> float:
        return float(weights @ ndtr((places - boundary * height) / step)) - may_spend

    return float(brentq(too_often, -_FAR, _FAR, xtol=1e-9)) if too_often(_FAR) < 0 else _FAR


def _trapezoid(places: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    weights = np.full(places.size, places[1] - places[0])
    weights[[0, -1]] /= 2
    return weights


def _grows(numbers: Sequence[float]) -> bool:
    return all(before < after for before, after in zip((0, *numbers), numbers, strict=False))
