"""A summary for a CI page: the verdict first, then what was not kept; the rest folded away."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from harness.reports.summary import (
    astray,
    bound,
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
from harness.results import Results, RunHeader, Verdict, VerdictRow
from harness.statistics import Estimate

SIGNS: dict[Verdict, str] = {
    "pass": "✅",
    "fail": "❌",
    "inconclusive": "⚠️",
    "invalid": "🚫",
    "not gated": "➖",
}


def render(results: Results) -> str:
    """GitHub's Markdown."""
    header, verdict = results.header, overall(results)
    lines = [
        f"## {SIGNS[verdict]} s2s-gate: {verdict}",
        "",
        _cell(headline(results)),
        "",
        _cell(f"Target {header.target} {header.endpoint}, {header.tier} voices, judge {header.judge or 'none'}."),
        "",
    ]
    if open_ := unkept(results):
        lines += [*_limits(open_), ""]
    if header.planned != ():
        lines += [*_languages(results), ""]
    if results.scenarios:
        lines += [*_scenarios(results), ""]
    if told := notes(header):
        lines += [*(f"- {_cell(note)}" for note in told), ""]
    for title, kind in (("kept", "pass"), ("not gated", "not gated")):
        if rows := [row for row in results.verdicts if row.verdict == kind]:
            lines += _folded(f"{len(rows)} {title}", _limits(rows))
    lines += _folded("the run", [*_run(header)])
    return "\n".join(lines).rstrip("\n") + "\n"


def _folded(title: str, lines: Sequence[str]) -> list[str]:
    """GitHub reads Markdown inside an element only after an empty line."""
    return ["<details>", f"<summary>{title}</summary>", "", *lines, "", "</details>", ""]


def _limits(rows: Sequence[VerdictRow]) -> list[str]:
    return [
        "| | limit | language | why |",
        "|---|---|---|---|",
        *(
            f"| {SIGNS[row.verdict]} {row.verdict} | {_cell(gate_title(row.gate))} "
            f"| {_cell(language_name(row.language))} | {_cell(row.reason)} |"
            for row in rows
        ),
    ]


def _scenarios(results: Results) -> Iterator[str]:
    yield "| in conversations | went wrong | of | undecided | at most |"
    yield "|---|---|---|---|---|"
    for one in tally(results.scenarios):
        high = f"{100 * one.high:.0f} %" if one.n else "–"
        yield f"| {_cell(gate_title(one.measure))} | {one.broken} | {one.n} | {one.undecided} | {high} |"
    held = sum(row.outcome == "held" for row in results.scenarios)
    yield ""
    yield f"{held} of {len(results.scenarios)} scenarios came out as expected."
    if unheld := astray(results.scenarios):
        yield ""
        yield "| scenario | | why |"
        yield "|---|---|---|"
        for row, why in unheld:
            yield f"| {_cell(row.scenario_id)} | {row.outcome} | {_cell(why)} |"


def _languages(results: Results) -> Iterator[str]:
    yield "| | answered | cut in | no answer | first audio p50 | p95 | heard | spoken | judge's floor | clipping |"
    yield "|---|---|---|---|---|---|---|---|---|---|"
    for one in summarise(results):
        counts = one.outcomes
        cells = (
            one.name,
            f"{counts['answered']} of {one.turns}",
            counts["cut-in"],
            counts["no-answer"] + counts["error"],
            _quantile(one.ttfa_p50, 0.5),
            _quantile(one.ttfa_p95, 0.95),
            percent(one.heard),
            percent(one.spoken or one.echoed),
            percent(one.floor),
            one.clipping,
        )
        yield f"| {' | '.join(_cell(str(cell)) for cell in cells)} |"


def _run(header: RunHeader) -> Iterator[str]:
    for name, facts in (
        ("started", {header.started: ""}),
        ("profile", {header.profile: ""}),
        ("server", header.server),
        ("language model", header.lm),
        ("machine", header.machine),
        ("versions", header.versions),
    ):
        told = ", ".join(f"{key} {value}".strip() for key, value in sorted(facts.items()))
        yield f"- {name}: {_cell(told) or 'not told'}"


def _quantile(found: Estimate | None, p: float) -> str:
    return "–" if found is None else f"{seconds(found.value)} ({bound(found, p)})"


def _cell(text: str) -> str:
    """Text that can end neither a cell nor a line, and starts no markup."""
    return re.sub(r"([\\|`*_\[\]<>])", r"\\\1", " ".join(text.split()))
