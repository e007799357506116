"""A comparison on the terminal: what changed, in plain words."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from harness.comparison.decide import Change, by_language
from harness.comparison.results import Comparison
from harness.reports.terminal import COLOURS

NAMES = {
    "ttfa_s": "first audio",
    "first_byte_s": "first byte",
    "heard": "heard (errors)",
    "cut_ins": "cut-ins",
    "no_answers": "no answer",
    "clipping": "clipping",
}
CAPTION = (
    "A, B: median wait in seconds, or the share. between: one-sided 95 % bounds of the change, over all looks. The "
    "margin is what counts as no change."
)
_VERDICT_COLOURS = {"better": "green", "no change": "green", "worse": "red", "inconclusive": "yellow"}
_ENDINGS = {
    "decided": "everything was decided",
    "budget": "the budget was spent",
    "played out": "every turn that is stored was compared",
    "lost a": "A was lost, so there was nothing left to compare with",
    "lost b": "B was lost",
    "stopped": "it was stopped",
}
_TOO_DIFFERENT = 0.05


def print_comparison(comparison: Comparison, console: Console) -> None:
    """What was compared, a table of the metrics, what changed in words, and the verdict."""
    header = comparison.header
    console.print(f"A  {header.a}\nB  {header.b}", markup=False, highlight=False, soft_wrap=True)
    if not header.interleaved:
        say(console, "Not played in one run: what the machine did in between is in these figures too.")
    for against in header.forced:
        say(console, f"Compared all the same: {against}.")
    console.print(_table(comparison.changes))
    for change in comparison.changes:
        if change.verdict != "no change":
            colour = _VERDICT_COLOURS[change.verdict]
            console.print(
                f"[{colour}]{change.verdict}[/]  {NAMES[change.metric]}: {escape(change.reason)}", highlight=False
            )
    for line in _languages(comparison):
        say(console, line)
    if comparison.ending:
        say(
            console,
            f"{len(comparison.pairs)} pairs of {comparison.ending.tries} tries; {_ENDINGS[comparison.ending.reason]}.",
        )
    console.print(f"verdict: [{COLOURS[comparison.verdict]}]{comparison.verdict}[/]", highlight=False)


def say(console: Console, text: str) -> None:
    """A remark beside the figures."""
    console.print(text, style="dim", markup=False, highlight=False)


def _table(changes: tuple[Change, ...]) -> Table:
    """Fits into 80 columns, for the log of a CI."""
    table = Table(
        box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold", caption_justify="left", caption=CAPTION
    )
    for name in ("", "A", "B", "change", "between", "margin", "pairs", "verdict"):
        table.add_column(name, justify="left" if name in ("", "verdict") else "right", no_wrap=True)
    for change in changes:
        bounds = "–" if change.low is None or change.high is None else f"{_bare(change.low)} {_bare(change.high)}"
        table.add_row(
            NAMES[change.metric],
            _level(change, change.a),
            _level(change, change.b),
            "–" if change.value is None else _change(change, change.value),
            bounds,
            f"{100 * change.margin:.0f} {_unit(change)}",
            str(change.pairs),
            f"[{_VERDICT_COLOURS[change.verdict]}]{change.verdict}[/]",
        )
    return table


def _languages(comparison: Comparison) -> list[str]:
    """Where a wait changed, if some languages changed much more than others."""
    changed = [c for c in comparison.changes if c.unit == "ratio" and c.verdict in ("worse", "better")]
    if not changed:
        return []
    found = sorted(by_language(comparison.pairs, changed[0].metric).items(), key=lambda item: -item[1])
    if found[0][1] - found[-1][1] < _TOO_DIFFERENT:
        return []
    told = ", ".join(f"{language} {100 * ratio:+.0f} %" for language, ratio in found)
    return [f"{NAMES[changed[0].metric]} by language: {told}"]


def _level(change: Change, value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:.2f} s" if change.unit == "ratio" else f"{100 * value:.1f} %"


def _change(change: Change, value: float) -> str:
    return f"{_bare(value)} {_unit(change)}"


def _bare(value: float) -> str:
    return f"{100 * value:+.1f}"


def _unit(change: Change) -> str:
    return "%" if change.unit == "ratio" else "pt"
