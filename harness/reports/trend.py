"""The history of a figure over nights, drawn. Who keeps the history makes the points; here they are only placed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from harness.results import Verdict

WIDTH, HEIGHT = 600, 100


@dataclass(frozen=True, slots=True)
class TrendPoint:
    """One figure of one run.

    Attributes:
        measure: name of the figure, for example `ttfa_s p50`.
        language: a code, or `all`.
        started: of the run, ISO 8601.
        value: the figure itself.
        unit: of all of them; `s`, or `%` for a share that is given as 0.05 for 5 %.
        low: lower confidence bound; None where there is none.
        high: upper confidence bound; None where there is none.
        limit: that held for the run; None where there was none.
        verdict: on that limit.
        changed: from this run on the figure is taken to have changed.
        build: that was run, for people.
    """

    measure: str
    language: str
    started: str
    value: float
    unit: str = "s"
    low: float | None = None
    high: float | None = None
    limit: float | None = None
    verdict: Verdict = "not gated"
    changed: bool = False
    build: str = ""


@dataclass(frozen=True, slots=True)
class Placed:
    """A point in per cent of the chart: `x` from the left, `y` from the top."""

    point: TrendPoint
    x: float
    y: float


@dataclass(frozen=True, slots=True)
class Trend:
    """The points of one figure in order of time.

    Attributes:
        line: SVG points of the line, in a box of `WIDTH` by `HEIGHT`.
        band: SVG points of the area between the bounds; empty where a run has none.
        limit: per cent from the top; None where the last run has none.
        top: value at the upper edge; the lower edge is 0.
    """

    measure: str
    language: str
    placed: tuple[Placed, ...]
    line: str
    band: str
    limit: float | None
    top: float


def trends(points: Sequence[TrendPoint]) -> list[Trend]:
    """A chart for each figure, in the order in which they first appear."""
    figures: dict[tuple[str, str], list[TrendPoint]] = {}
    for point in points:
        figures.setdefault((point.measure, point.language), []).append(point)
    return [_trend(sorted(own, key=lambda point: point.started)) for own in figures.values()]


def _trend(points: Sequence[TrendPoint]) -> Trend:
    known = [number for p in points for number in (p.value, p.high, p.limit) if number is not None]
    top = 1.25 * max(known) or 1.0

    def y(value: float) -> float:
        return round(HEIGHT * (1 - value / top), 1)

    xs = [round(WIDTH * (index + 0.5) / len(points), 1) for index in range(len(points))]
    bounds = [(p.low, p.high) for p in points if p.low is not None and p.high is not None]
    band = ""
    if len(bounds) == len(points):
        upper = [f"{x},{y(high)}" for x, (_, high) in zip(xs, bounds, strict=True)]
        lower = [f"{x},{y(low)}" for x, (low, _) in zip(xs, bounds, strict=True)]
        band = " ".join([*upper, *reversed(lower)])
    last = points[-1].limit
    return Trend(
        points[0].measure,
        points[0].language,
        tuple(
            Placed(p, round(100 * x / WIDTH, 2), round(100 * y(p.value) / HEIGHT, 2))
            for p, x in zip(points, xs, strict=True)
        ),
        " ".join(f"{x},{y(p.value)}" for p, x in zip(points, xs, strict=True)),
        band,
        None if last is None else round(100 * y(last) / HEIGHT, 2),
        top,
    )
