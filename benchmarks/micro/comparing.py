"""From the timings of a run to ratios, and from ratios to what has become slower."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Literal

CLOCK = time.process_time
"""Time of the processor, not of the world: what other processes take from this one's is none of it."""

CALIBRATION = "calibration_s"
"""Of a benchmark, beside its timings: the fastest calibration loop around it, in seconds."""

FACTOR = 1.6
"""A benchmark that takes more than so many times its accepted ratio has become slower.

Chosen by 14 runs of 37 benchmarks on two shared virtual cores, every other one beside two more processes that did
nothing but arithmetic, while other people worked there too: the largest of 518 ratios was 1.25 times the accepted one,
the smallest 0.54. With all work done twice, the smallest was 1.83 times.
"""

_MOST_OF_THE_MACHINE = 1.25
"""Most of the paths together may take so many times as long as accepted for what the machine does: arithmetic on arrays
and the calibration loop, which is plain Python, do not slow down alike where others use its caches and memory. Seen in
code that had not changed: a median of 1.26 in one run, with 1.9 for one path, and of 1.14 in the next."""
_ENOUGH = 10
"""Paths, of which one or two that became slower do not move the median."""

Verdict = Literal["as accepted", "slower", "faster", "not accepted yet", "not run"]
ALARMS: tuple[Verdict, ...] = ("slower", "not accepted yet", "not run")


@dataclass(frozen=True, slots=True)
class Comparison:
    """`ratio` and `accepted` are in calibration loops; None where there is none.

    Attributes:
        machine: how many times as long as accepted most of them take, as far as that is taken for the machine's.
    """

    name: str
    ratio: float | None
    accepted: float | None
    machine: float = 1.0

    @property
    def change(self) -> float:
        """How many times as long as accepted, besides what everything takes longer."""
        return self.ratio / self.accepted / self.machine if self.ratio and self.accepted else math.nan

    @property
    def verdict(self) -> Verdict:
        if self.ratio is None:
            return "not run"
        if self.accepted is None:
            return "not accepted yet"
        if self.change > FACTOR:
            return "slower"
        return "faster" if self.change < 1 / FACTOR else "as accepted"


def ratios(timings: Path) -> dict[str, float]:
    """Each benchmark's fastest round, in calibration loops of the same moment, from pytest-benchmark's JSON.

    Noise only ever adds, so the fastest is the one with the least of it.
    """
    found = json.loads(timings.read_text(encoding="utf-8"))["benchmarks"]
    return {one["name"].removeprefix("test_"): one["stats"]["min"] / one["extra_info"][CALIBRATION] for one in found}


def compare(found: Mapping[str, float], accepted: Mapping[str, float]) -> list[Comparison]:
    """One for every benchmark that was run or should have been, by name."""
    changes = [found[name] / accepted[name] for name in found if name in accepted]
    machine = min(max(1.0, median(changes)), _MOST_OF_THE_MACHINE) if len(changes) >= _ENOUGH else 1.0
    return [Comparison(name, found.get(name), accepted.get(name), machine) for name in sorted({*found, *accepted})]


def load(path: Path) -> dict[str, float]:
    """What was accepted; nothing where there is no such file."""
    if not path.exists():
        return {}
    accepted: dict[str, float] = json.loads(path.read_text(encoding="utf-8"))
    return accepted


def save(found: Mapping[str, float], path: Path) -> None:
    """Rounded to what means anything, so that a change of the file is a change of the code."""
    rounded = {name: float(f"{found[name]:.3g}") for name in sorted(found)}
    path.write_text(json.dumps(rounded, indent=2) + "\n", encoding="utf-8")
