"""Better, no change, worse or inconclusive: a verdict for each thing that is measured on both sides."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import mean, median
from typing import Literal

from harness.comparison.effects import SMALLEST_BLOCKS, Effect, count_difference, holm, log_ratio, rate_difference
from harness.comparison.samples import Pair, Sample
from harness.sequential import Look, nominal_levels

ChangeVerdict = Literal["better", "no change", "worse", "inconclusive"]
Unit = Literal["ratio", "points"]

MARGIN = 0.05
"""A wait may be so much longer, as a ratio, before that is worse."""
MARGIN_RATE = 0.02
"""An error rate may be so much higher."""
MARGIN_SHARE = 0.10
"""In so many pairs at most may something be new that should not happen; none of 29 pairs shows that."""


@dataclass(frozen=True, slots=True)
class Change:
    """What one metric says of B against A.

    Attributes:
        metric: `ttfa_s`, `first_byte_s`, `heard`, `cut_ins`, `no_answers` or `clipping`.
        unit: `ratio` for waits (0.1 is 10 % longer), `points` for rates and shares (0.1 is 10 points more).
        margin: up to which more is no change, in that unit.
        pairs: of turns behind it; `clips` of them are different.
        a: the median wait, or the rate, on side A; None where there is none.
        b: the same on side B.
        value: the change; None where nothing can be compared.
        low: its lower bound, 95 % one-sided, over all looks; None where there is none.
        high: its upper bound, the same.
        reason: the verdict in words.
    """

    metric: str
    verdict: ChangeVerdict
    unit: Unit
    margin: float
    pairs: int
    clips: int
    a: float | None
    b: float | None
    value: float | None
    low: float | None
    high: float | None
    reason: str


@dataclass(frozen=True, slots=True)
class _Metric:
    """What is compared.

    Attributes:
        figure: of a turn: a wait in seconds, or whether something happened; None where it does not count.
        worse: what there is more of, in words.
    """

    name: str
    kind: Literal["wait", "words", "event"]
    margin: float
    figure: Callable[[Sample], float | None]
    worse: str


def _wait(name: str) -> Callable[[Sample], float | None]:
    def figure(sample: Sample) -> float | None:
        wait_s: float | None = getattr(sample, name)
        counts = sample.outcome == "answered" and not sample.cold
        return wait_s if counts and wait_s is not None and wait_s > 0 else None

    return figure


def _silent(sample: Sample) -> float:
    return float(sample.outcome in ("no-answer", "error") or (sample.outcome == "answered" and sample.ttfa_s is None))


METRICS = (
    _Metric("ttfa_s", "wait", MARGIN, _wait("ttfa_s"), "until the first sound"),
    _Metric("first_byte_s", "wait", MARGIN, _wait("first_byte_s"), "until the first byte"),
    _Metric("heard", "words", MARGIN_RATE, lambda sample: sample.errors, "errors in what it heard"),
    _Metric("cut_ins", "event", MARGIN_SHARE, lambda sample: float(sample.outcome == "cut-in"), "cut-ins"),
    _Metric("no_answers", "event", MARGIN_SHARE, _silent, "turns without an answer"),
    _Metric(
        "clipping",
        "event",
        MARGIN_SHARE,
        lambda sample: None if sample.unsafe is None else float(sample.unsafe),
        "replies with a clipping finding",
    ),
)


@dataclass(frozen=True, slots=True)
class _Found:
    """One metric at one look.

    Attributes:
        pairs: that have it on both sides.
        effect: None where those are too few.
        lost: replies of B without it where A has it; with one of those nothing is shown to be as good as before.
    """

    pairs: list[Pair]
    effect: Effect | None
    lost: int = 0

    @property
    def clips(self) -> int:
        return len({pair.fixture_id for pair in self.pairs})


class Deciding:
    """The verdicts on a comparison under way, made again at each look.

    Attributes:
        changes: a verdict for each metric that either side has, as of the last look.
    """

    def __init__(self) -> None:
        self.changes: list[Change] = []
        self._looks: list[Look] = []
        self._bounds: dict[str, list[tuple[float, float]]] = defaultdict(list)
        self._worse: set[str] = set()

    def look(self, pairs: Sequence[Pair], spent: float) -> list[Change]:
        """Decide upon all pairs so far.

        Args:
            pairs: in the order in which they were played.
            spent: how much of the error rate may be spent by now, 0 to 1. With no more of either than at the last
                look, nothing new can be said.
        """
        last = self._looks[-1] if self._looks else Look(0, 0.0)
        if len(pairs) <= last.turns or spent <= last.spent:
            return self.changes
        self._looks.append(Look(len(pairs), spent))
        sizes, shares = tuple(one.turns for one in self._looks), tuple(one.spent for one in self._looks)
        level = nominal_levels(sizes, shares)[-1]
        metrics = [metric for metric in METRICS if _is_measured(metric, pairs)]
        found = {metric.name: _look(metric, pairs) for metric in metrics}
        effects = {name: one.effect for name, one in found.items() if one.effect is not None}
        mattering = {metric.name for metric in metrics if _matters(metric, effects.get(metric.name))}
        self._worse |= mattering & holm({name: effect.p_worse for name, effect in effects.items()}, level)
        better = mattering & holm({name: effect.p_better for name, effect in effects.items()}, level)
        for name, effect in effects.items():
            self._bounds[name].append(effect.bounds(level))
        self.changes = [
            _change(one, found[one.name], self._bounds[one.name], one.name in self._worse, one.name in better)
            for one in metrics
        ]
        return self.changes


def decide(pairs: Sequence[Pair], looks: Sequence[Look] = ()) -> list[Change]:
    """A verdict for each metric that either side has.

    Args:
        pairs: in the order in which they were played.
        looks: at how many pairs it was decided whether to play on, and the share of the error rate that could be spent
            by then; none for a comparison whose length was fixed beforehand.
    """
    deciding = Deciding()
    for look in looks or (Look(len(pairs)),):
        deciding.look(pairs[: look.turns], look.spent)
    return deciding.changes


def undecided(changes: Sequence[Change]) -> bool:
    """Whether more pairs could tell something, or there are none yet."""
    return not changes or any(change.verdict == "inconclusive" for change in changes)


def exit_code(changes: Sequence[Change]) -> int:
    """0 nothing is worse, 1 something is, 2 that cannot be said of everything."""
    if any(change.verdict == "worse" for change in changes):
        return 1
    return 2 if undecided(changes) else 0


def by_language(pairs: Sequence[Pair], metric: str = "ttfa_s") -> dict[str, float]:
    """The change of a wait in each language, as a ratio less one: for a reader, without a verdict."""
    (figure,) = (one.figure for one in METRICS if one.name == metric and one.kind == "wait")
    ratios: dict[str, list[float]] = defaultdict(list)
    for pair in pairs:
        a, b = figure(pair.a), figure(pair.b)
        if a is not None and b is not None:
            ratios[pair.language].append(math.log(b / a))
    return {language: math.expm1(mean(found)) for language, found in ratios.items()}


def _matters(metric: _Metric, effect: Effect | None) -> bool:
    """Whether a change is, as far as measured, larger than the margin; every new event that is no chance matters."""
    if effect is None or metric.kind == "event":
        return effect is not None
    return abs(effect.value) > (math.log1p(metric.margin) if metric.kind == "wait" else metric.margin)


def _is_measured(metric: _Metric, pairs: Sequence[Pair]) -> bool:
    return any(metric.figure(sample) is not None for pair in pairs for sample in (pair.a, pair.b))


def _look(metric: _Metric, pairs: Sequence[Pair]) -> _Found:
    both = [pair for pair in pairs if metric.figure(pair.a) is not None and metric.figure(pair.b) is not None]
    if not both:
        return _Found(both, None)
    if metric.kind == "event":
        only_a = sum(metric.figure(pair.a) == 1 and metric.figure(pair.b) == 0 for pair in both)
        only_b = sum(metric.figure(pair.a) == 0 and metric.figure(pair.b) == 1 for pair in both)
        return _Found(both, count_difference(only_a, only_b, len(both)))
    by_clip: dict[str, list[Pair]] = defaultdict(list)
    for pair in both:
        by_clip[pair.fixture_id].append(pair)
    if len(by_clip) < SMALLEST_BLOCKS:
        return _Found(both, None)
    if metric.kind == "wait":
        ratios = [[math.log(_known(metric, p.b) / _known(metric, p.a)) for p in clip] for clip in by_clip.values()]
        return _Found(both, log_ratio(ratios))
    sums = [_word_sums(clip) for clip in by_clip.values()]
    if not sum(units for _, units, _, _ in sums):
        return _Found(both, None)
    lost = sum(p.a.errors is not None and p.b.errors is None and p.b.outcome in ("answered", "cut-in") for p in pairs)
    return _Found(both, rate_difference(sums), lost)


def _word_sums(pairs: Sequence[Pair]) -> tuple[int, int, int, int]:
    """Errors and units in A, then in B; of turns that have a transcript."""
    a, b = [pair.a for pair in pairs], [pair.b for pair in pairs]
    errors_a, errors_b = sum(sample.errors or 0 for sample in a), sum(sample.errors or 0 for sample in b)
    return errors_a, sum(sample.units or 0 for sample in a), errors_b, sum(sample.units or 0 for sample in b)


def _known(metric: _Metric, sample: Sample) -> float:
    figure = metric.figure(sample)
    assert figure is not None  # noqa: S101 - only pairs with both are asked
    return figure


def _change(
    metric: _Metric, found: _Found, bounds: Sequence[tuple[float, float]], is_worse: bool, is_better: bool
) -> Change:
    unit: Unit = "ratio" if metric.kind == "wait" else "points"
    a, b = _level(metric, [pair.a for pair in found.pairs]), _level(metric, [pair.b for pair in found.pairs])
    clips, pairs = found.clips, len(found.pairs)
    if found.effect is None:
        reason = "no pair has it on both sides"
        if pairs:
            reason = f"n too small: {clips} of the {SMALLEST_BLOCKS} clips it takes"
        return Change(metric.name, "inconclusive", unit, metric.margin, pairs, clips, a, b, None, None, None, reason)
    shown = math.expm1 if unit == "ratio" else float
    value, low, high = (
        shown(figure) for figure in (found.effect.value, max(low for low, _ in bounds), min(high for _, high in bounds))
    )
    is_kept = high <= metric.margin and not found.lost
    verdict: ChangeVerdict = (
        "worse" if is_worse else "inconclusive" if not is_kept else "better" if is_better else "no change"
    )
    between = f"{_figure(low, unit)} to {_figure(high, unit)}"
    reason = f"{_in_words(metric, value)} ({between}; {pairs} pairs of {clips} clips)"
    if verdict == "inconclusive" and found.lost:
        reason += f"; {found.lost} replies of B have no transcript"
    elif verdict == "inconclusive":
        reason += f"; it may be worse by more than {_figure(metric.margin, unit).lstrip('+')}"
    return Change(metric.name, verdict, unit, metric.margin, pairs, clips, a, b, value, low, high, reason)


def _level(metric: _Metric, samples: Sequence[Sample]) -> float | None:
    figures = [figure for sample in samples if (figure := metric.figure(sample)) is not None]
    if not figures:
        return None
    if metric.kind == "wait":
        return median(figures)
    if metric.kind == "event":
        return mean(figures)
    units = sum(sample.units or 0 for sample in samples)
    return sum(figures) / units if units else None


def _in_words(metric: _Metric, value: float) -> str:
    if metric.kind == "wait":
        much = f"{abs(value):.1%}".replace("%", " %")
        return f"{much} {'longer' if value > 0 else 'shorter'} {metric.worse}"
    if not value:
        return f"as many {metric.worse}"
    return f"{abs(100 * value):.1f} points {'more' if value > 0 else 'fewer'} {metric.worse}"


def _figure(value: float, unit: Unit) -> str:
    return f"{100 * value:+.1f} {'%' if unit == 'ratio' else 'points'}"
