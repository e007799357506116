"""The figures of the page's charts: its tables tell them, and `page/charts.js` draws them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from harness.measures.latency import Bar
from harness.recording import Outcome
from harness.reports.summary import LanguageSummary, gate_title, language_name, seconds
from harness.results import Results, TurnRow, Verdict, VerdictRow

STAGE_NAMES = {
    "pause": "pause noticed",
    "committed": "turn committed",
    "transcript": "transcript final",
    "first_token": "first token",
    "first_clause": "first clause",
    "first_sample": "first sample",
    "first_sent": "first byte sent",
    "received": "received",
    "audible": "audible",
    "unexplained": "unexplained",
}

Kind = Literal["answered", "cold", "cut-in", "never", "invalid"]

_KINDS: dict[Outcome, Kind] = {
    "answered": "answered",
    "cut-in": "cut-in",
    "no-answer": "never",
    "error": "never",
    "invalid": "invalid",
}


@dataclass(frozen=True, slots=True)
class Wait:
    """A turn, by its number in the run, from 1; `told` is its wait and outcome in words.

    `wait_s` is None for one that was never answered.
    """

    turn: int
    name: str
    wait_s: float | None
    kind: Kind
    told: str


@dataclass(frozen=True, slots=True)
class Quantile:
    """What was decided about a quantile, in seconds; None for what is not known. `told` is that in words."""

    name: str
    verdict: Verdict
    value: float | None
    low: float | None
    high: float | None
    limit: float | None
    told: str


@dataclass(frozen=True, slots=True)
class Waits:
    """One language: its turns, the fastest first and those without an answer last."""

    language: str
    turns: tuple[Wait, ...]
    quantiles: tuple[Quantile, ...]


@dataclass(frozen=True, slots=True)
class Stage:
    """What a stage added to a wait; `told` is that in words. `stage` is a key of `STAGE_NAMES`."""

    stage: str
    name: str
    length_s: float
    told: str


@dataclass(frozen=True, slots=True)
class Waterfall:
    """The stages of a turn, or the medians of a language, in order; `told` is their sum in words."""

    name: str
    stages: tuple[Stage, ...]
    told: str


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
class Trend:
    """The points of one figure in the order of time; `told` are they in words."""

    title: str
    unit: str
    points: tuple[TrendPoint, ...]
    told: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Charts:
    """All of a page. `turns` has an entry for every turn, in the order of the run."""

    waits: tuple[Waits, ...]
    stages: tuple[Waterfall, ...]
    turns: tuple[Waterfall, ...]
    trends: tuple[Trend, ...]


def charts(results: Results, languages: Sequence[LanguageSummary], trend: Sequence[TrendPoint]) -> Charts:
    """The charts of a run, of its languages in their order, and of the history of its figures."""
    return Charts(
        waits=tuple(_waits(one, results) for one in languages),
        stages=tuple(
            _waterfall(one.name, [_stage(stage, length_s) for stage, length_s in one.waterfall])
            for one in languages
            if one.waterfall
        ),
        turns=tuple(_waterfall(row.fixture_id, [_bar(bar) for bar in row.latency.waterfall]) for row in results.turns),
        trends=_trends(trend),
    )


def shown(value: float | None, unit: str) -> str:
    """For people: `1.50 s`, `4.3 %`, or a dash for what is not known."""
    if value is None:
        return "–"
    return f"{100 * value:.1f} %" if unit == "%" else f"{value:.2f} {unit}"


def _waits(one: LanguageSummary, results: Results) -> Waits:
    turns = [_wait(number, row) for number, row in enumerate(results.turns, 1) if row.language == one.language]
    quantiles = [
        _quantile(match[1], row)
        for row in results.verdicts
        if row.language == one.language and (match := re.fullmatch(r"ttfa_s (p[\d.]+)", row.gate))
    ]
    by_wait = sorted(turns, key=lambda turn: (turn.wait_s is None, turn.wait_s or 0.0))
    return Waits(one.name, tuple(by_wait), tuple(quantiles))


def _wait(number: int, row: TurnRow) -> Wait:
    wait_s, cold = row.latency.ttfa_s, row.latency.cold
    kind = _KINDS[row.outcome]
    told = [*([] if wait_s is None else [seconds(wait_s)]), row.outcome, *(["the cold start"] if cold else [])]
    return Wait(number, row.fixture_id, wait_s, "cold" if cold and kind == "answered" else kind, ", ".join(told))


def _quantile(name: str, row: VerdictRow) -> Quantile:
    decided = "n too small" if row.verdict == "not gated" else row.verdict
    told = f"{shown(row.value, 's')}, {decided}"
    return Quantile(name, row.verdict, row.value, row.low, row.high, row.limit, told)


def _waterfall(name: str, stages: Sequence[Stage]) -> Waterfall:
    return Waterfall(name, tuple(stages), seconds(sum(stage.length_s for stage in stages)))


def _stage(stage: str, length_s: float, told: str | None = None) -> Stage:
    return Stage(stage, STAGE_NAMES.get(stage, stage), length_s, told or f"{1000 * length_s:.0f} ms")


def _bar(bar: Bar) -> Stage:
    if bar.length_s > 0 or bar.stage == "unexplained":
        return _stage(bar.stage, bar.length_s)
    return _stage(bar.stage, bar.length_s, "not told" if bar.at_s is None else f"by {1000 * bar.at_s:.0f} ms")


def _trends(points: Sequence[TrendPoint]) -> tuple[Trend, ...]:
    """One for each figure, in the order in which they first appear."""
    figures: dict[tuple[str, str], list[TrendPoint]] = {}
    for point in points:
        figures.setdefault((point.measure, point.language), []).append(point)
    return tuple(_trend(sorted(own, key=lambda point: point.started)) for own in figures.values())


def _trend(points: Sequence[TrendPoint]) -> Trend:
    first = points[0]
    told = tuple(
        f"{p.started}{' ' + p.build if p.build else ''}: {shown(p.value, p.unit)}, {p.verdict}"
        f"{', changed from here on' if p.changed else ''}"
        for p in points
    )
    return Trend(f"{gate_title(first.measure)}, {language_name(first.language)}", first.unit, tuple(points), told)
