"""What has been said in a conversation, within a bound."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import dropwhile

from pipeline.lm.base import Message

_MOST_MESSAGES = 500
"""Kept where nobody asks for a prompt, which alone knows the budget."""


class History:
    """Messages, oldest first, each known by a number. `prompt` forgets from the front what no longer fits a budget."""

    def __init__(self, messages: Sequence[Message] = ()) -> None:
        self._numbers = itertools.count(1)
        self._messages: dict[int, Message] = dict(zip(self._numbers, messages, strict=False))
        self.version = 0
        """Grows with every change that a prompt would show, but forgetting."""

    def add(self, message: Message, *, after: int | None = None) -> int:
        """Put at the end, or where `after` says; returns its number. One in which nothing is written is not told to
        anybody until it is given a text.

        Args:
            after: the number of the message before it; what has been forgotten was at the begin, and 0 is the begin.
        """
        number = next(self._numbers)
        if after is None:
            self._messages[number] = message
        else:
            entries = [*self._messages.items()]
            at = [*self._messages].index(after) + 1 if after in self._messages else 0
            self._messages = dict([*entries[:at], (number, message), *entries[at:]])
        if len(self._messages) > _MOST_MESSAGES:
            del self._messages[next(iter(self._messages))]
        if message.written:
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

    def resolved(self, messages: Sequence[Message | int]) -> list[Message]:
        """With each number replaced by its message, unless that has been forgotten."""
        known = [self._messages.get(message) if isinstance(message, int) else message for message in messages]
        return [message for message in known if message is not None]

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
        left = budget_tokens - count_tokens(instructions) - sum(count_tokens(message.written) for message in unsaid)
        kept: list[int] = []
        for number, message in reversed(self._messages.items()):
            left -= count_tokens(message.written)
            if left < 0 and (kept or unsaid):
                break
            kept.append(number)
        self._messages = {number: self._messages[number] for number in reversed(kept)}
        told = [message for message in self._messages.values() if message.written or message.role == "tool"]
        # A result without the call that it answers means nothing.
        told = [*dropwhile(lambda message: message.role == "tool", told)]
        return [Message("system", instructions), *told, *unsaid]
