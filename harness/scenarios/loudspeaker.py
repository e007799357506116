"""A caller's loudspeaker: plays what arrives, in order, at once, and falls silent when the server hears them speak."""

from __future__ import annotations

import math


class Loudspeaker:
    """Knows until when there is something to be heard. All times in seconds, on one axis, told in their order."""

    def __init__(self) -> None:
        self.silent_from_s = -math.inf
        """When the last of what has arrived will have been played, or was stopped."""
        self._stopped = False

    def begin(self) -> None:
        """A reply begins: what was left of one that was stopped does not come any more."""
        self._stopped = False

    def take(self, at_s: float, length_s: float) -> float | None:
        """Audio arrives. Returns when it is played; None for what still comes of a reply that was stopped."""
        if self._stopped:
            return None
        begun_s = max(self.silent_from_s, at_s)
        self.silent_from_s = begun_s + length_s
        return begun_s

    def stop(self, at_s: float) -> None:
        """The caller has spoken over it."""
        self._stopped = True
        self.silent_from_s = min(self.silent_from_s, at_s)
