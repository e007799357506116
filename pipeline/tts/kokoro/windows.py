"""In which stretches a planned clause is made into sound: a short one first, because somebody is waiting for it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, repeat

_SIZES = (24, 24, 40, 64)
"""Of the first ones, and all later ones, in steps of the plan, of 12.5 ms. Each is made while those before it are
heard. With twice the last the generator has a tenth less to do, for it sees fewer steps twice; but another reply that
is about to run dry waits twice as long."""
_SMALLEST = 16
"""What would be left over for a last stretch belongs to the one before it, if it is shorter than this."""
_NEIGHBOURS = 8
"""The generator looks so far to both sides."""


@dataclass(frozen=True, slots=True)
class Window:
    """Steps `first` to `last` (exclusive) are to be made into sound, for which those from `begin` to `end` are seen."""

    first: int
    last: int
    begin: int
    end: int


def windows(steps: int) -> Iterator[Window]:
    """All of a plan's steps, one stretch after the other."""
    first = 0
    for size in chain(_SIZES, repeat(_SIZES[-1])):
        if first >= steps:
            return
        last = first + size
        if steps - last < _SMALLEST:
            last = steps
        yield Window(first, last, max(0, first - _NEIGHBOURS), min(steps, last + _NEIGHBOURS))
        first = last
