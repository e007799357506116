"""What a client sends, against the clock."""

from __future__ import annotations

from collections.abc import Callable

from server.limits import Limit, LimitError, TooFastError


class Pace:
    """What is ahead of the clock drains at a rate; more than so much must not be ahead.

    Args:
        limit: whose hits these are.
        most: how much may be ahead.
        per_s: how much drains in a second.
        refused: how much is refused before it is too much.
        clock: seconds.
        told: what is counted, and how to keep to it, in words.
    """

    def __init__(
        self,
        limit: Limit,
        *,
        most: float,
        per_s: float,
        refused: float,
        clock: Callable[[], float],
        told: tuple[str, str],
    ) -> None:
        self._limit = limit
        self._most = most
        self._per_s = per_s
        self._refusable = refused
        self._clock = clock
        self._what, self._remedy = told
        self._ahead = 0.0
        self._at_s = clock()

    @property
    def ahead_s(self) -> float:
        """How long it takes until what is ahead has drained."""
        self._drain()
        return self._ahead / self._per_s

    def take(self, amount: float) -> None:
        """Note so much more.

        Raises:
            TooFastError: it is too far ahead, and must not be taken.
            LimitError: so much was refused already that the caller has to leave.
        """
        self._drain()
        if self._ahead + amount <= self._most:
            self._ahead += amount
            return
        self._refusable -= amount
        why = f"{self._ahead:.0f} {self._what} ahead of the clock"
        if self._refusable < 0:
            raise LimitError(self._limit, f"{why} and more keeps coming", code=TooFastError.CODE)
        raise TooFastError(self._limit, f"{why}, {self._most:.0f} are the most; this is refused, {self._remedy}")

    def _drain(self) -> None:
        now_s = self._clock()
        self._ahead = max(0.0, self._ahead - (now_s - self._at_s) * self._per_s)
        self._at_s = now_s
