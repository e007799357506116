"""What a measurement has to reach, and how that is shown."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True, slots=True)
class Bar:
    """`value` may be `limit` at most; without a limit it is only told."""

    name: str
    value: float
    unit: str
    limit: float | None = None

    @property
    def is_held(self) -> bool:
        return self.limit is None or self.value <= self.limit


def settle(title: str, bars: Sequence[Bar]) -> None:
    """Print the bars, and exit with 1 if one of them is missed (not a number misses, too)."""
    table = Table("", "measured", "at most", "", title=title)
    for bar in bars:
        limit = "" if bar.limit is None else f"{bar.limit:g} {bar.unit}"
        verdict = "" if bar.limit is None else "held" if bar.is_held else "missed"
        table.add_row(bar.name, f"{bar.value:.3g} {bar.unit}", limit, verdict)
    Console().print(table)
    sys.exit(not all(bar.is_held for bar in bars))
