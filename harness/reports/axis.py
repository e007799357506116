"""A scale of seconds, and where a value lies on it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

STEPS = 6
"""About so many to an axis: as many labels as a telephone's width holds."""


@dataclass(frozen=True, slots=True)
class Axis:
    """A scale of seconds, from `low` to `high` in steps of `step`."""

    low: float
    high: float
    step: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Axis:
        """From 0, or the lowest value below it, to the largest value, at round steps."""
        low, high = min([0.0, *values]), max([0.1, *values])
        rough = (high - low) / STEPS
        unit = 10 ** math.floor(math.log10(rough))
        step = next(factor * unit for factor in (1, 2, 5, 10) if factor * unit >= rough * 0.999)
        return cls(step * math.floor(low / step), step * math.ceil(high / step * 0.9999), step)

    def place(self, value: float) -> float:
        """In per cent of the axis's length."""
        return round(100 * (value - self.low) / (self.high - self.low), 2)

    def width(self, length: float) -> float:
        """Of a stretch of so many seconds, in per cent of the axis's length."""
        return round(100 * length / (self.high - self.low), 2)

    def inside(self, value: float) -> float:
        """As `place`, but what lies beyond an end is put at that end; infinities too."""
        return self.place(min(max(value, self.low), self.high))

    @property
    def ticks(self) -> list[float]:
        count = round((self.high - self.low) / self.step)
        return [round(self.low + index * self.step, 3) for index in range(count + 1)]
