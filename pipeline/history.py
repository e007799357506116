"""What has been said in a conversation, within a bound."""

from __future__ import annotations

from collections.abc import Callable

from pipeline.lm.base import Message


class History:
    """Messages, oldest first. `prompt` forgets from the front what no longer fits the language model's budget."""

    def __init__(self) -> None:
        self._messages: list[Message] = []

    def __len__(self) -> int:
        return len(self._messages)

    def add(self, message: Message) -> None:
        self._messages.append(message)

    def prompt(self, instructions: str, budget_tokens: int, count_tokens: Callable[[str], int]) -> list[Message]:
        """The system message and the newest messages that fit; the newest of all is always there."""
        left = budget_tokens - count_tokens(instructions)
        keep = len(self._messages)
        while keep > 0:
            left -= count_tokens(self._messages[keep - 1].text)
            if left < 0 and keep < len(self._messages):
                break
            keep -= 1
        del self._messages[:keep]
        return [Message("system", instructions), *self._messages]
