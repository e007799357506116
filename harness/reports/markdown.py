"""A summary for a CI page."""

from __future__ import annotations

import re

from harness.reports.summary import bound, notes, overall, percent, seconds, summarise
from harness.results import Results
from harness.statistics import Estimate


def render(results: Results) -> str:
    """GitHub's Markdown: the verdict, a table of the languages, a table of the limits."""
    header = results.header
    lines = [
        f"## s2s-gate: {overall(results)}",
        "",
        _cell(f"Target {header.target} {header.endpoint}, {header.tier} voices, judge {header.judge or 'none'}."),
        "",
        *(f"- {_cell(note)}" for note in notes(header)),
        "",
        "| | answered | cut in | no answer | first audio p50 | p95 | heard | spoken | judge's floor | clipping |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
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
        lines.append(f"| {' | '.join(_cell(str(cell)) for cell in cells)} |")
    lines += ["", "| limit | language | verdict | why |", "|---|---|---|---|"]
    lines += [
        f"| {_cell(row.gate)} | {_cell(row.language)} | {row.verdict} | {_cell(row.reason)} |"
        for row in results.verdicts
    ]
    return "\n".join(lines) + "\n"


def _quantile(found: Estimate | None, p: float) -> str:
    return "–" if found is None else f"{seconds(found.value)} ({bound(found, p)})"


def _cell(text: str) -> str:
    """Text that can end neither a cell nor a line, and starts no markup."""
    return re.sub(r"([\\|`*_\[\]<>])", r"\\\1", " ".join(text.split()))
