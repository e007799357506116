"""What a run is told as: all of it made from the folder of results."""

from __future__ import annotations

from pathlib import Path


def write_all(folder: Path) -> list[Path]:
    """Write `report.html`, `junit.xml` and `summary.md` beside the results; the same results give the same bytes.

    Raises:
        harness.results.ResultsError: the results cannot be read.
    """
    raise NotImplementedError
