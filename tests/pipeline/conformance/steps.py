"""Work counted in steps, so that how soon a stop takes effect can be told without a clock."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pipeline.stopping import Stop


class Steps:
    """Counts the runs of a network.

    Attributes:
        begun: how many have begun.
        on_step: called at the beginning of each.
    """

    def __init__(self) -> None:
        self.begun = 0
        self.on_step: Callable[[int], None] = lambda begun: None

    def count(self, target: Any, *names: str) -> None:
        """Count the calls of these methods of an object."""
        for name in names:
            setattr(target, name, self._counted(getattr(target, name)))

    def stop_at(self, step: int) -> Stop:
        """A `Stop` that is told while that step, counted from now, is under way."""
        stop, at = Stop(), self.begun + step

        def tell(begun: int) -> None:
            if begun == at:
                stop.tell()

        self.on_step = tell
        return stop

    def _counted(self, method: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*args: Any, **settings: Any) -> Any:
            self.begun += 1
            self.on_step(self.begun)
            return method(*args, **settings)

        return counted


class Standing:
    """An object in the place of another, whose methods can be replaced where those of the other cannot."""

    def __init__(self, other: Any) -> None:
        self._other = other

    def __getattr__(self, name: str) -> Any:
        return getattr(self._other, name)
