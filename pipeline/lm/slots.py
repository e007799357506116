"""Which of a model's slots reads which prompt. A slot keeps what it has read, and a prompt that goes on with it costs
only what is new."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import takewhile

from pipeline.lm.base import Message

_ALIKE = 8
"""Two conversations seldom begin with so many of the same characters."""


class Slots:
    """May be used from several threads. Args: `numbers` of the slots."""

    def __init__(self, numbers: Sequence[int]) -> None:
        self._read = dict.fromkeys(numbers, "")
        """What each has read last; the one that was not used for longest is first."""
        self._busy = Counter[int]()
        self._lock = threading.Lock()

    @contextmanager
    def taken(self, messages: Sequence[Message]) -> Iterator[int]:
        """A slot for the time of an answer to `messages`: an idle one, if there is any; that which has read the
        beginning of the conversation, or else the one that was not used for longest."""
        # What the instructions say is the same in many conversations.
        said = "\n".join(message.written for message in messages if message.role != "system")
        with self._lock:
            idle = [number for number in self._read if not self._busy[number]] or list(self._read)
            alike = {number: _in_common(self._read[number], said) for number in idle}
            number = max(idle, key=lambda one: alike[one] if alike[one] >= _ALIKE else 0)
            del self._read[number]
            self._read[number] = said
            self._busy[number] += 1
        try:
            yield number
        finally:
            with self._lock:
                self._busy[number] -= 1


def _in_common(one: str, other: str) -> int:
    """How many characters the beginnings of two texts have in common."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))
