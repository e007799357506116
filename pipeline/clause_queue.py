"""Between the language model that writes a reply and the synthesiser that speaks it: text goes in, clauses come out."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress

from pipeline.clauses import ClauseSplitter
from pipeline.languages import Language
from pipeline.lm.base import ToolCall

_CLAUSES_AHEAD = 2
_BITE = 50
"""Characters of a reply that are looked through in one go. `echo` says all of it at once, and a client may have written
250,000 for it to say."""
_NO_TIME_S = 0.001


class ClauseQueue:
    """Of one reply, with one writer and one reader. What comes out, joined, is what went in."""

    def __init__(self, language: Language) -> None:
        self._splitter = ClauseSplitter(language)
        self._ready: deque[str | ToolCall | None] = deque()
        self._more = asyncio.Event()
        self._room = asyncio.Event()

    @property
    def goes_on(self) -> bool:
        """What comes next is known: a clause, some words of one, or the end."""
        return bool(self._ready) or self._splitter.has_words

    async def write(self, text: str) -> None:
        """The reply goes on so. Waits while enough is ready to be spoken."""
        for start in range(0, len(text), _BITE):
            if start:
                await asyncio.sleep(0)
            self._ready.extend(self._splitter.push(text[start : start + _BITE]))
            self._more.set()
            while len(self._ready) > _CLAUSES_AHEAD:
                self._room.clear()
                await self._room.wait()

    def end(self, calls: Sequence[ToolCall]) -> None:
        """The reply is written, and ends with these calls."""
        self._ready.extend((*self._splitter.finish(), *calls, None))
        self._more.set()

    def ask_again(self) -> None:
        """There may be less patience now."""
        self._more.set()

    async def next(self, patience_s: Callable[[], float | None]) -> str | ToolCall | None:
        """The next clause or tool call; None when there is no more.

        Args:
            patience_s: for how long a clause may still take to become complete, None for ever. After that, what there
                is of it is a clause. Asked anew whenever something has been written, when the time is up, and on
                `ask_again`.
        """
        while not self._ready:
            self._more.clear()
            left_s = patience_s()
            if left_s is None or left_s > _NO_TIME_S:
                with suppress(TimeoutError):
                    async with asyncio.timeout(left_s):
                        await self._more.wait()
            elif words := self._splitter.hurry():
                self._ready.append(words)
            else:
                await self._more.wait()
        self._room.set()
        return self._ready.popleft()
