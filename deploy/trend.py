"""What one night after the other measured, and whether it is getting worse.

The night's work knows of this only the three functions of `Trend`; another history can be put in its place.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Protocol

from harness import results

NIGHTS = 3
"""So many nights in a row must be worse before it is called a trend: one can be chance, or a busy neighbour."""
HISTORY = "history.jsonl"


@dataclass(frozen=True, slots=True)
class Night:
    """One line of the history.

    Attributes:
        started: UTC, ISO 8601.
        report: the folder's name.
        gated: the exit code of the gate; None where it did not come to one.
        figures: `measure, language` to the value measured, for all that has a limit.
        worse: those of them that are worse than the baseline, beyond what chance explains there.
    """

    started: str
    report: str
    gated: int | None
    figures: dict[str, float] = field(default_factory=dict)
    worse: list[str] = field(default_factory=list)


class TrendError(RuntimeError):
    """The history or the baseline cannot be used; the message says why."""


class Trend(Protocol):
    """Where the nights are kept."""

    def add(self, started: str, report: Path, gated: int | None) -> Night:
        """Append a night, compared with the baseline.

        Raises:
            TrendError: it cannot be read or written.
        """

    def alarms(self) -> list[str]:
        """What has been worse for so many nights in a row that somebody should look."""

    def markdown(self) -> str:
        """The nights, for people."""


class History:
    """A file of lines beside the reports.

    Worse is a value beyond the one-sided 95 % bound that the baseline's own run gives for it.

    Args:
        folder: of the reports.
        baseline: folder of the accepted run's report; None as long as none is accepted: then nothing is called worse.
    """

    def __init__(self, folder: Path, baseline: Path | None) -> None:
        self._file = folder / HISTORY
        self._baseline = baseline

    def add(self, started: str, report: Path, gated: int | None) -> Night:
        figures = {name: value for name, (value, _) in _figures(report).items()} if gated is not None else {}
        bounds = _figures(self._baseline) if self._baseline else {}
        worse = [name for name, value in figures.items() if name in bounds and value > bounds[name][1]]
        night = Night(started, report.name, gated, figures, worse)
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            with self._file.open("a", encoding="utf-8") as history:
                history.write(json.dumps(asdict(night), ensure_ascii=False) + "\n")
        except OSError as error:
            raise TrendError(f"the history {self._file} cannot be written: {error.strerror}") from error
        return night

    def alarms(self) -> list[str]:
        last = [night for night in self.nights() if night.figures][-NIGHTS:]  # one that measured nothing says nothing
        if len(last) < NIGHTS:
            return []
        return [name for name in last[-1].worse if all(name in night.worse for night in last)]

    def markdown(self) -> str:
        nights = self.nights()[-14:]
        names = sorted({name for night in nights for name in night.figures})
        lines = ["| night | gate | " + " | ".join(names) + " |", "|---" * (len(names) + 2) + "|"]
        for night in nights:
            cells = (_cell(name, night) for name in names)
            gated = "none" if night.gated is None else str(night.gated)
            lines.append(f"| {night.started} | {gated} | {' | '.join(cells)} |")
        return "\n".join(lines)

    def nights(self) -> list[Night]:
        """All of them, the oldest first.

        Raises:
            TrendError: a line is not one of this history.
        """
        if not self._file.exists():
            return []
        found = []
        for number, line in enumerate(self._file.read_text(encoding="utf-8").splitlines(), 1):
            try:
                found.append(Night(**json.loads(line)))
            except (ValueError, TypeError) as error:
                raise TrendError(
                    f"{self._file}, line {number}, is no night: {error}; mend it or move the file"
                ) from None
        return found


def _cell(name: str, night: Night) -> str:
    if name not in night.figures:
        return ""
    return f"{night.figures[name]:.3g}{' **worse**' if name in night.worse else ''}"


def _figures(report: Path) -> dict[str, tuple[float, float]]:
    """Each limited measure of a run to its value and its upper bound; every limit here is one from above."""
    try:
        found = results.read(report)
    except (OSError, results.ResultsError) as error:
        raise TrendError(f"the report {report} cannot be read: {error}") from error
    return {
        f"{row.gate}, {row.language}": (row.value, row.high)
        for row in found.verdicts
        if row.family != "run" and row.value is not None and row.high is not None
    }
