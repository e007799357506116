"""The summary on the terminal."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from harness.measures import behaviour
from harness.reports.summary import (
    LanguageSummary,
    astray,
    gate_title,
    headline,
    language_name,
    notes,
    overall,
    percent,
    seconds,
    summarise,
    tally,
    unkept,
)
from harness.results import Results, Verdict
from harness.statistics import Estimate, smallest_n

CAPTION = (
    "p50, p95: upper 95 % bound of the time to first audio in seconds; in brackets the figure itself, where the turns "
    "are too few for a bound. late: sent too late by the harness itself. judge: its own errors on the clips."
)
COLOURS: dict[Verdict, str] = {
    "pass": "green",
    "fail": "red",
    "inconclusive": "yellow",
    "not gated": "dim",
    "invalid": "magenta",
}
SCENARIO_COLOURS: dict[behaviour.Outcome, str] = {
    "held": "green",
    "broken": "red",
    "undecided": "yellow",
    "invalid": "magenta",
    "error": "red",
}


def print_summary(results: Results, console: Console | None = None) -> None:
    """A table of the languages, then the limits that were not simply kept, then the verdict."""
    console = console or Console()
    header = results.header
    console.print(
        f"{' at '.join(filter(None, (header.target, header.endpoint)))}, profile {header.profile}, "
        f"{header.tier} voices, judge {header.judge or 'none'}",
        markup=False,
        highlight=False,
    )
    for note in notes(header):
        console.print(f"[dim]{escape(note)}[/dim]", highlight=False)
    if header.planned != ():
        console.print(_table(summarise(results)))
    if results.scenarios:
        console.print(_scenarios(results))
        for scenario, why in astray(results.scenarios):
            colour = SCENARIO_COLOURS[scenario.outcome]
            name = f"[{colour}]{scenario.outcome}[/]  {escape(scenario.scenario_id)}"
            console.print(f"{name}: {escape(why)}", highlight=False, soft_wrap=True)
    for row in unkept(results):
        where = f"{escape(gate_title(row.gate))} ({escape(language_name(row.language))})"
        console.print(f"{_coloured(row.verdict)}  {where}: {escape(row.reason)}", highlight=False)
    console.print(escape(headline(results)), highlight=False)
    console.print(f"verdict: {_coloured(overall(results))}", highlight=False)


def _table(languages: list[LanguageSummary]) -> Table:
    """Fits into 80 columns, for the log of a CI."""
    table = Table(
        box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold", caption_justify="left", caption=CAPTION
    )
    for name in ("", "answered", "cut in", "none", "late", "p50", "p95", "heard", "spoken", "judge", "clipping"):
        table.add_column(name, justify="right" if name else "left", no_wrap=True)
    for one in languages:
        outcomes = one.outcomes
        table.add_row(
            escape(one.name),
            f"{outcomes['answered']}/{one.turns}",
            str(outcomes["cut-in"]),
            str(outcomes["no-answer"] + outcomes["error"]),
            str(outcomes["invalid"]),
            _quantile(one.ttfa_p50, 0.5),
            _quantile(one.ttfa_p95, 0.95),
            percent(one.heard),
            percent(one.spoken or one.echoed),
            percent(one.floor),
            one.clipping,
        )
    return table


def _scenarios(results: Results) -> Table:
    held = sum(row.outcome == "held" for row in results.scenarios)
    caption = f"{held} of {len(results.scenarios)} scenarios as expected. at most: upper 95 % bound of the share."
    table = Table(
        box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold", caption_justify="left", caption=caption
    )
    for name in ("in conversations", "went wrong", "of", "undecided", "at most"):
        table.add_column(name, justify="left" if name == "in conversations" else "right", no_wrap=True)
    for one in tally(results.scenarios):
        high = f"{100 * one.high:.0f} %" if one.n else "–"
        table.add_row(gate_title(one.measure), str(one.broken), str(one.n), str(one.undecided), high)
    return table


def _quantile(found: Estimate | None, p: float) -> str:
    if found is None:
        return "–"
    enough = found.n >= smallest_n(p)
    shown = seconds(found.high if enough else found.value).removesuffix(" s")
    return shown if enough else f"({shown})"


def _coloured(verdict: Verdict) -> str:
    return f"[{COLOURS[verdict]}]{verdict}[/]"
