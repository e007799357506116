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

    def take(self, at_s: float, length_s: float) -> None:
        """Audio arrives. What still comes of a reply that was stopped is not played."""
        if not self._stopped:
            self.silent_from_s = max(self.silent_from_s, at_s) + length_s

    def stop(self, at_s: float) -> None:
        """The caller has spoken over it."""
        self._stopped = True
        self.silent_from_s = min(self.silent_from_s, at_s)
