"""How long nobody has said anything."""

from __future__ import annotations


class Idleness:
    """Seconds on the input's sample clock.

    Attributes:
        since_s: where it began; None while somebody speaks, or something is being done about it.
    """

    def __init__(self) -> None:
        self.since_s: float | None = None

    def lasted_s(self, now_s: float, *, busy: bool) -> float:
        """Call it with every frame."""
        if busy:
            self.since_s = None
            return 0.0
        if self.since_s is None:
            self.since_s = now_s
        return now_s - self.since_s
