"""How long to wait before trying again: longer each time, never in step with others, and not for ever."""

from __future__ import annotations

from collections.abc import Callable

FIRST_S = 0.5
FACTOR = 2.0
LONGEST_S = 30.0


class Backoff:
    """Exponential, with the upper half of each pause left to chance.

    Args:
        patience_s: how much waiting there may be in all.
        chance: draws from [0, 1).
    """

    def __init__(self, patience_s: float, chance: Callable[[], float]) -> None:
        self._left_s = patience_s
        self._chance = chance
        self._longest_s = FIRST_S

    def next_pause_s(self, asked_s: float | None = None) -> float | None:
        """The next pause, no shorter than the server has asked for; None where patience ends before it would.

        What a server asks for is lengthened by chance too: it asks everybody for the same.
        """
        pause_s = self._longest_s * (1 + self._chance()) / 2
        if asked_s is not None:
            pause_s = max(pause_s, asked_s * (1 + self._chance() / 4))
        self._longest_s = min(self._longest_s * FACTOR, LONGEST_S)
        self._left_s -= pause_s
        return pause_s if self._left_s >= 0 else None
