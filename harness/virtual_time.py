"""An event loop whose time is made up: when nothing is ready it jumps to the next timer instead of waiting for it.

Ten seconds of conversation take milliseconds, and come out the same each time. Sockets and threads still work, but time
does not wait for them; use it with scripted parts.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

Result = TypeVar("Result")

_STUCK_S = 5.0


class _JumpingSelector(selectors.DefaultSelector):
    """Serves what is ready; otherwise moves `now_s` on by the time it was asked to wait."""

    def __init__(self) -> None:
        super().__init__()
        self.now_s = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            ready = super().select(_STUCK_S)
            if not ready:
                raise RuntimeError("every task waits for something that no timer will bring: a deadlock in the test")
            return ready
        ready = super().select(0)
        if not ready:
            self.now_s += timeout
        return ready


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """`time()` starts at 0 and moves only when every task waits."""

    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.now_s


def run(main: Coroutine[Any, Any, Result]) -> Result:
    """`asyncio.run` in virtual time."""
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(main)
