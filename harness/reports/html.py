"""The page: one file with everything in it. It loads nothing, and tells everything without its script too."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from importlib import resources
from pathlib import Path

import jinja2

from harness.reports import scenes, sound, summary
from harness.reports.charts import TrendPoint, charts, shown
from harness.reports.timeline import Timeline, draw, seconds_of_sound
from harness.results import Results, TurnRow, VerdictRow

SCRIPTS = ("vendor/d3.min.js", "vendor/plot.umd.min.js", "charts.js", "page.js")
LICENCES = ("vendor/d3.LICENSE", "vendor/plot.LICENSE", "vendor/interval-tree-1d.LICENSE")

WORKERS = 4
"""Threads that encode: the encoder does its work outside of Python's lock."""


@dataclass(frozen=True, slots=True)
class Turn:
    """A turn and what is drawn of it; `number` is its place in the run, from 1."""

    number: int
    row: TurnRow
    timeline: Timeline
    failed: bool


@dataclass(frozen=True, slots=True)
class Gauge:
    """A limit with the figure that it is for and its bounds, in per cent of a small scale from 0."""

    value: float
    low: float
    high: float
    limit: float


def render(
    results: Results,
    folder: Path,
    *,
    trend: Sequence[TrendPoint] = (),
    on_turn: Callable[[int, int], None] = lambda _done, _of: None,
) -> str:
    """The page of a run whose audio lies in `folder`, with the history of its figures where that is given."""
    languages = summary.summarise(results)
    seconds = seconds_of_sound(results.turns) + scenes.seconds_of_sound(results.scenarios)
    kilobits = sound.affordable(seconds)
    drawn = charts(results, languages, trend)
    turns = _turns(results, folder, kilobits, on_turn)
    scripts = [_file(name) for name in SCRIPTS]
    return (
        _environment()
        .get_template("page.html.j2")
        .render(
            header=results.header,
            verdict=summary.overall(results),
            headline=summary.headline(results),
            notes=summary.notes(results.header),
            verdicts=results.verdicts,
            unkept=summary.unkept(results),
            languages=languages,
            charts=drawn,
            figures=asdict(drawn),
            tally=summary.tally(results.scenarios),
            scenes=_scenes(results, folder, kilobits),
            turns={one.language: [turn for turn in turns if turn.row.language == one.language] for one in languages},
            style=_file("page.css"),
            licences="\n".join(_file(name) for name in LICENCES),
            scripts=scripts,
            hashes=[base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts],
        )
    )


def _file(name: str) -> str:
    return resources.files("harness.reports").joinpath("page", name).read_text(encoding="utf-8")


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("harness.reports", "page"), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {
        "seconds": summary.seconds,
        "percent": summary.percent,
        "bound": summary.bound,
        "gate_title": summary.gate_title,
        "language_name": summary.language_name,
        "gauge": _gauge,
        "shown": shown,
    }
    return environment


def _scenes(results: Results, folder: Path, kilobits: int | None) -> list[scenes.Scene]:
    """What did not come out as expected first."""
    with ThreadPoolExecutor(WORKERS) as workers:
        numbered = enumerate(results.scenarios, 1)
        drawn = list(workers.map(lambda one: scenes.draw(folder, one[0], one[1], kilobits), numbered))
    return sorted(drawn, key=lambda scene: summary.SCENARIO_GRAVITY.index(scene.row.outcome))


def _turns(results: Results, folder: Path, kilobits: int | None, on_turn: Callable[[int, int], None]) -> list[Turn]:

    def make(numbered: tuple[int, TurnRow]) -> Turn:
        number, row = numbered
        broken = row.clipping is not None and any(finding.severity == "fail" for finding in row.clipping.findings)
        return Turn(
            number,
            row,
            draw(folder, results.header, row, kilobits),
            failed=row.outcome != "answered" or broken,
        )

    turns: list[Turn] = []
    with ThreadPoolExecutor(WORKERS) as workers:
        for turn in workers.map(make, enumerate(results.turns, 1)):
            turns.append(turn)
            on_turn(len(turns), len(results.turns))
    return turns


def _gauge(row: VerdictRow) -> Gauge | None:
    """None where nothing was compared, for a mere count, and for the run itself, whose limit is a lower one."""
    if row.verdict == "not gated" or row.limit is None or row.value is None or row.family in ("run", "clipping"):
        return None
    top = 1.2 * max(row.limit, row.value, row.high or 0.0) or 1.0
    low, high = 100 * (row.low or 0.0) / top, 100.0 if row.high is None else 100 * row.high / top
    return Gauge(100 * row.value / top, low, high, 100 * row.limit / top)
