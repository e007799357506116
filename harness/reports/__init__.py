"""What a run is told as: all of it made from the folder of results."""

from __future__ import annotations

from pathlib import Path

from harness import results as results_file
from harness.reports import html, junit, markdown


def write_all(folder: Path) -> list[Path]:
    """Write `report.html`, `junit.xml` and `summary.md` beside the results; the same results give the same bytes.

    Raises:
        harness.results.ResultsError: the results cannot be read.
        OSError: the folder cannot be written.
    """
    results = results_file.read(folder)
    documents = {
        "report.html": _utf8(html.render(results, folder)),
        "junit.xml": junit.render(results),
        "summary.md": _utf8(markdown.render(results)),
    }
    for name, document in documents.items():
        (folder / name).write_bytes(document)
    return [folder / name for name in documents]


def _utf8(text: str) -> bytes:
    """Half a surrogate pair, which a server's text may hold, becomes a question mark."""
    return text.encode("utf-8", errors="replace")
