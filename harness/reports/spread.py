"""The waits of a language: every turn a dot, every gated quantile with its bounds and its limit."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from harness.recording import Outcome
from harness.reports.axis import Axis
from harness.results import TurnRow, Verdict, VerdictRow

DOT_WIDTH = 1.6
"""In per cent of the axis; dots that are nearer to each other lie one above the other."""
MOST_LANES = 8
FAR = 2.0
"""A limit that lies so many times beyond the slowest turn is not drawn to scale: it would squeeze the dots."""


@dataclass(frozen=True, slots=True)
class Dot:
    """A turn; `place` is None for one that was never answered."""

    number: int
    row: TurnRow
    outcome: Outcome
    place: float | None
    lane: int


@dataclass(frozen=True, slots=True)
class Quantile:
    """What was decided about a quantile, in per cent of the axis: ends that are not known lie at the axis's ends."""

    name: str
    verdict: Verdict
    row: VerdictRow
    value: float | None
    low: float
    high: float
    limit: float | None
    limit_beyond: bool


@dataclass(frozen=True, slots=True)
class Spread:
    """One language. `lanes` is how many dots lie one above the other at most."""

    language: str
    dots: tuple[Dot, ...]
    never: tuple[Dot, ...]
    lanes: int
    quantiles: tuple[Quantile, ...]


def axis_of(rows: Sequence[TurnRow], verdicts: Sequence[VerdictRow]) -> Axis:
    """Wide enough for every dot, and for the limits that are not far beyond them."""
    waits = [row.latency.ttfa_s for row in rows if row.latency.ttfa_s is not None]
    longest = max(waits, default=1.0)
    limits = [row.limit for row in verdicts if quantile_of(row) and row.limit is not None]
    bounds = [row.high for row in verdicts if quantile_of(row) and row.high is not None]
    return Axis.of([*waits, *bounds, *(limit for limit in limits if limit <= FAR * longest)])


def quantile_of(verdict: VerdictRow) -> str | None:
    """`p50` of the limit `ttfa_s p50`; None for a limit of anything else."""
    match = re.fullmatch(r"ttfa_s (p[\d.]+)", verdict.gate)
    return match and match[1]


def spread(language: str, rows: Sequence[tuple[int, TurnRow]], verdicts: Sequence[VerdictRow], axis: Axis) -> Spread:
    """The turns of a language, each with its number in the run, and what was decided about them."""
    dots: list[Dot] = []
    taken: list[float] = []  # the last place of each lane
    known = [(number, row, row.latency.ttfa_s) for number, row in rows if row.latency.ttfa_s is not None]
    for number, row, wait_s in sorted(known, key=lambda turn: (turn[2], turn[0])):
        place = axis.inside(wait_s)
        free = (lane for lane, last in enumerate(taken) if place - last >= DOT_WIDTH)
        lane = next(free, len(taken) if len(taken) < MOST_LANES else len(dots) % MOST_LANES)
        taken[lane : lane + 1] = [place]
        dots.append(Dot(number, row, row.outcome, place, lane))
    silent = [Dot(number, row, row.outcome, None, 0) for number, row in rows if row.latency.ttfa_s is None]
    quantiles = [
        _quantile(name, row, axis)
        for row in verdicts
        if row.language == language and (name := quantile_of(row)) is not None
    ]
    return Spread(language, tuple(dots), tuple(silent), max(1, len(taken)), tuple(quantiles))


def _quantile(name: str, row: VerdictRow, axis: Axis) -> Quantile:
    beyond = row.limit is not None and row.limit > axis.high
    return Quantile(
        name,
        row.verdict,
        row,
        None if row.value is None else axis.inside(row.value),
        0.0 if row.low is None else axis.inside(row.low),
        100.0 if row.high is None else axis.inside(row.high),
        None if row.limit is None else axis.inside(row.limit),
        beyond,
    )
