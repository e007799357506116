"""How many conversations there is room for: what the operator says, or else what the machine was measured to carry."""

from __future__ import annotations

from collections.abc import Collection

from pipeline.capacity import Capacity
from server.door import unavailable
from server.limits import Limit, Limits


class Room:
    """Attributes:
    measured: what this machine can carry; None while, or where, that is not measured.
    """

    def __init__(self, limits: Limits) -> None:
        self.measured: Capacity | None = None
        self._limits = limits

    @property
    def most(self) -> int | None:
        """Conversations at once; None without a limit."""
        if self._limits.sessions is not None:
            return self._limits.sessions
        return self.measured.conversations if self.measured else None

    @property
    def limited_by(self) -> str | None:
        """What makes `most` no larger."""
        if self._limits.sessions is not None:
            return "--max-sessions"
        return self.measured.limited_by if self.measured else None

    def told(self) -> str:
        """For the log."""
        if self._limits.sessions is not None:
            return f"{self._limits.sessions} conversations at once, by --max-sessions"
        return f"this machine carries {self.measured.told()}" if self.measured else "conversations without limit"

    def check(self, holder: str | None, holders: Collection[str | None]) -> None:
        """Is there room for one more, of `holder`, beside those of `holders`?

        Raises:
            RefusedError: 503.
        """
        if self.most is not None and len(holders) >= self.most:
            raise unavailable(f"all {self.most} sessions are taken; try again later\n", Limit.SESSIONS)
        most = self._limits.sessions_per_token
        if most is not None and holder is not None and sum(other == holder for other in holders) >= most:
            raise unavailable(
                f"all {most} sessions of this token are taken; end one of them\n", Limit.SESSIONS_PER_TOKEN
            )
