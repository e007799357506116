"""Whether to dial again, and after how long: longer each time, never in step with others, and not for ever.

The page has the same policy in `server/page/backoff.js`; `tests/page/test_reconnection.py` holds the two to each other.
"""

from __future__ import annotations

from collections.abc import Callable

FIRST_S = 0.5
FACTOR = 2.0
LONGEST_S = 30.0
LONGEST_ASKED_S = 60.0
"""What a server may ask for."""
PATIENCE_S = 120.0
"""How much waiting there is in all, unless its user says otherwise."""
STEADY_S = 10.0
"""A connection that held this long was a good one: after it there is patience anew."""

PASSING_CODES = (1001, 1011, 1012, 1013, 1014)
"""Close codes that say nothing against connecting again; nor does a connection that broke without one."""
PASSING_STATUSES = (429, 500, 502, 503, 504)
"""The same of the answers to an upgrade: the server is full or loads, or a gateway has lost it."""


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


def asked_pause_s(retry_after: str) -> float | None:
    """What a `Retry-After` asks for in seconds; None where there is none, or it is not a number of seconds."""
    return (
        min(max(float(retry_after), 0.1), LONGEST_ASKED_S) if retry_after.isascii() and retry_after.isdigit() else None
    )
