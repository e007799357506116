"""What a run is told as: all of it made from the folder of results."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from harness import results as results_file
from harness.reports import html, junit, markdown
from harness.reports.charts import TrendPoint

__all__ = ["TrendPoint", "write_all"]


def write_all(
    folder: Path,
    *,
    trend: Sequence[TrendPoint] = (),
    on_turn: Callable[[int, int], None] = lambda _done, _of: None,
) -> list[Path]:
    """Write `report.html`, `junit.xml` and `summary.md` beside the results; the same results give the same bytes.

    Args:
        folder: of the run.
        trend: the history of its figures, for the page.
        on_turn: told how many turns are drawn, of how many.

    Raises:
        harness.results.ResultsError: the results cannot be read.
        OSError: the folder cannot be written.
    """
    results = results_file.read(folder)
    documents = {
        "report.html": _utf8(html.render(results, folder, trend=trend, on_turn=on_turn)),
        "junit.xml": junit.render(results),
        "summary.md": _utf8(markdown.render(results)),
    }
    for name, document in documents.items():
        (folder / name).write_bytes(document)
    return [folder / name for name in documents]


def _utf8(text: str) -> bytes:
    """Half a surrogate pair, which a server's text may hold, becomes a question mark."""
    return text.encode("utf-8", errors="replace")
