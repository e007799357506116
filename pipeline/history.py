"""What has been said in a conversation, within a bound."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import replace

from pipeline.lm.base import Message

_MOST_MESSAGES = 500
"""Kept where nobody asks for a prompt, which alone knows the budget."""


class History:
    """Messages, oldest first, each known by a number. `prompt` forgets from the front what no longer fits a budget."""

    def __init__(self) -> None:
        self._messages: dict[int, Message] = {}
        self._numbers = itertools.count(1)
        self.version = 0
        """Grows with every change but forgetting."""

    def add(self, message: Message) -> int:
        """Put at the end; returns its number. One without text is not told to anybody until it is given one."""
        number = next(self._numbers)
        self._messages[number] = message
        if len(self._messages) > _MOST_MESSAGES:
            del self._messages[next(iter(self._messages))]
        self.version += 1
        return number

    def amend(self, number: int, text: str) -> None:
        """What was said after all; nothing happens if it has been forgotten."""
        if number in self._messages and self._messages[number].text != text:
            self._messages[number] = replace(self._messages[number], text=text)
            self.version += 1

    def remove(self, number: int) -> None:
        """It was never said; nothing happens if it has been forgotten."""
        if self._messages.pop(number, None) is not None:
            self.version += 1

    def prompt(
        self,
        instructions: str,
        budget_tokens: int,
        count_tokens: Callable[[str], int],
        *,
        unsaid: Sequence[Message] = (),
    ) -> list[Message]:
        """The system message and the newest messages that fit; the newest of all is always there.

        What is `unsaid` comes after all that was said, and is not kept.
        """
        left = budget_tokens - count_tokens(instructions) - sum(count_tokens(message.text) for message in unsaid)
        kept: list[int] = []
        for number, message in reversed(self._messages.items()):
            left -= count_tokens(message.text)
            if left < 0 and (kept or unsaid):
                break
            kept.append(number)
        self._messages = {number: self._messages[number] for number in reversed(kept)}
        told = [message for message in self._messages.values() if message.text]
        return [Message("system", instructions), *told, *unsaid]
