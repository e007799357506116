"""From the timings of a run to ratios, and from ratios to what has become slower."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
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

Verdict = Literal["as accepted", "slower", "faster", "not accepted yet", "not run"]
ALARMS: tuple[Verdict, ...] = ("slower", "not accepted yet", "not run")


@dataclass(frozen=True, slots=True)
class Comparison:
    """`ratio` and `accepted` are in calibration loops; None where there is none."""

    name: str
    ratio: float | None
    accepted: float | None

    @property
    def change(self) -> float:
        """How many times as long as accepted."""
        return self.ratio / self.accepted if self.ratio and self.accepted else math.nan

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
    return [Comparison(name, found.get(name), accepted.get(name)) for name in sorted({*found, *accepted})]


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
