"""`s2s history`: the trend over the nights."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:  # the harness is imported when the command runs, so that its help is instant
    from rich.table import Table

    from harness.history import Trend

_BARS = "▁▂▃▄▅▆▇█"
_NIGHTS_SHOWN = 30
_COLOURS = {
    "limit broken": "red",
    "changed": "red",
    "one night off": "yellow",
    "steady": "green",
    "too few nights": "dim",
}


@click.command()
@click.argument("file", required=False, type=click.Path(path_type=Path, dir_okay=False))
@click.option("--language", help="Only this one; `all` is the turns of all languages together.")
@click.option("--all-series", is_flag=True, help="Not only the series that was added to last.")
@click.pass_context
def history(context: click.Context, file: Path | None, language: str | None, *, all_series: bool) -> None:
    """Show the trend of each limit over the nights, and what changed for good.

    Every `s2s gate` adds a line a limit to reports/history.jsonl (FILE names another). Runs of the same machine,
    profile, target, clips and definitions make up a series. One bad night is not a change: two of three in a row must
    stand out from the nights before. A limit that is broken is said at once.

    \b
    Examples:
      s2s history                      the last series
      s2s history --language ja
      s2s gate --serve; s2s history    for a nightly job: the exit codes of both

    \b
    Exit code:
      0  no alarm
      1  the last night broke a limit, or confirmed a change for the worse
    """
    from rich.console import Console

    from harness import history as nights

    console = Console(highlight=False)
    path = file or nights.FILE
    try:
        found = nights.load(path)
    except OSError as error:
        raise click.ClickException(f"{path} cannot be read: {error}") from error
    if not found.lines:
        console.print(f"no runs in {path} yet; every `s2s gate` adds one", markup=False, soft_wrap=True)
        return
    trends = nights.trends(found.lines)
    series = list(dict.fromkeys(trend.series for trend in trends))
    alarms: list[Trend] = []
    for one in series if all_series else series[:1]:
        own = [t for t in trends if t.series == one and language in (None, t.language)]
        if not own:
            raise click.ClickException(
                f"the series has no {language!r}; it has {', '.join(sorted({t.language for t in trends}))}"
            )
        console.print(own[0].label, markup=False, soft_wrap=True)
        console.print(_table(own))
        for trend in own:
            for change in trend.changes:
                console.print(
                    f"{trend.gate} ({trend.language}) changed on {change.date}: "
                    f"{_of(change.before)} to {_of(change.after)}"
                )
        noise = nights.noise(found.lines, one)
        console.print(_machine(noise.calibration_ms, noise.spread, noise.late_ms), style="dim", soft_wrap=True)
        alarms += [trend for trend in own if nights.is_alarm(trend)]
    if found.torn:
        console.print(f"{found.torn} torn lines were left out", style="dim")
    if not all_series and len(series) > 1:
        console.print(f"{len(series) - 1} other series: --all-series", style="dim")
    context.exit(1 if alarms else 0)


def _table(trends: list[Trend]) -> Table:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    for name in ("", "limit", "last", "spread", "nights", "trend", ""):
        table.add_column(name, justify="right" if name in ("limit", "last", "spread", "nights") else "left")
    for trend in trends:
        table.add_row(
            f"{trend.gate} ({trend.language})",
            "–" if trend.limit is None else f"{trend.limit:g}",
            _of(trend.nights[-1].value),
            "–" if trend.spread is None else f"{100 * trend.spread:.1f} %",
            str(len(trend.nights)),
            spark([night.value for night in trend.nights][-_NIGHTS_SHOWN:]),
            f"[{_COLOURS[trend.state]}]{trend.state}[/]",
        )
    return table


def spark(values: list[float | None]) -> str:
    """A bar a night, from the lowest to the highest; `×` where there is no figure."""
    known = [value for value in values if value is not None]
    low, high = min(known, default=0.0), max(known, default=0.0)
    span = high - low
    return "".join(
        "×" if value is None else _BARS[min(7, int(8 * (value - low) / span)) if span > 0 else 0] for value in values
    )


def _machine(calibration_ms: float | None, spread: float | None, late_ms: float | None) -> str:
    told = ["the machine:"]
    if calibration_ms is not None:
        told.append(f"calibration loop {calibration_ms:.0f} ms")
        told.append(
            f"give or take {100 * spread:.1f} % from run to run,"
            if spread is not None
            else "(too few runs for its spread),"
        )
    if late_ms is not None:
        told.append(f"the sender at most {late_ms:.1f} ms late (p99)")
    return " ".join(told)


def _of(value: float | None) -> str:
    return "none" if value is None or not math.isfinite(value) else f"{value:.3g}"
