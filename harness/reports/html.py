"""The page: one file with everything in it, no network, no script."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import jinja2

from harness.reports import summary
from harness.reports.sound import Sound, embed
from harness.results import Results, TurnRow

QUESTION_RATE_HZ = 16_000
REPLY_RATE_HZ = 24_000

STAGE_NAMES = {
    "pause": "pause heard",
    "committed": "turn decided",
    "transcript": "transcript",
    "first_token": "first token",
    "first_clause": "first clause",
    "first_sample": "first sample",
    "first_sent": "sent",
    "received": "received",
    "audible": "audible",
    "unexplained": "unexplained",
}


@dataclass(frozen=True, slots=True)
class Axis:
    """A scale of seconds: where a value lies, in per cent of the chart's width."""

    low: float
    high: float
    step: float

    def place(self, value: float) -> float:
        return round(100 * (value - self.low) / (self.high - self.low), 3)

    @property
    def ticks(self) -> list[float]:
        count = round((self.high - self.low) / self.step)
        return [round(self.low + index * self.step, 3) for index in range(count + 1)]


@dataclass(frozen=True, slots=True)
class Turn:
    """A turn with its sounds."""

    row: TurnRow
    question: Sound | None
    reply: Sound | None
    opened: bool


def render(results: Results, folder: Path) -> str:
    """The page of a run whose audio lies in `folder`."""
    languages = summary.summarise(results)
    turns = {
        one.language: [_turn(row, folder) for row in results.turns if row.language == one.language] for one in languages
    }
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("harness.reports", "."), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {
        "seconds": summary.seconds,
        "percent": summary.percent,
        "bound": summary.bound,
    }
    return environment.get_template("report.html.j2").render(
        header=results.header,
        verdict=summary.overall(results),
        notes=summary.notes(results.header),
        verdicts=results.verdicts,
        unkept=summary.unkept(results),
        languages=languages,
        turns=turns,
        stages=STAGE_NAMES,
        wait_axis=_axis([row.latency.ttfa_s for row in results.turns if row.latency.ttfa_s is not None]),
        waterfall_axis=_axis([sum(max(0.0, length) for _, length in one.waterfall) for one in languages]),
        turn_axis=_axis([sum(max(0.0, bar.length_s) for bar in row.latency.waterfall) for row in results.turns]),
        limits={row.language: row.limit for row in results.verdicts if row.gate == "ttfa_s p50"},
    )


def _turn(row: TurnRow, folder: Path) -> Turn:
    failed = row.clipping is not None and any(finding.severity == "fail" for finding in row.clipping.findings)
    return Turn(
        row,
        embed(folder, row.question, QUESTION_RATE_HZ),
        embed(folder, row.reply, REPLY_RATE_HZ),
        opened=row.outcome != "answered" or failed,
    )


def _axis(values: Sequence[float]) -> Axis:
    """From 0 (or the earliest cut-in) to the largest value, at about six round steps."""
    low, high = min([0.0, *values]), max([0.1, *values])
    rough = (high - low) / 6
    unit = 10 ** math.floor(math.log10(rough))
    step = next(factor * unit for factor in (1, 2, 5, 10) if factor * unit >= rough * 0.999)
    return Axis(step * math.floor(low / step), step * math.ceil(high / step * 0.9999), step)
