"""What has been said in a conversation, within a bound."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pipeline.lm.base import Message


class History:
    """Messages, oldest first. `prompt` forgets from the front what no longer fits the language model's budget."""

    def __init__(self) -> None:
        self._messages: list[Message] = []

    def __len__(self) -> int:
        return len(self._messages)

    def add(self, message: Message) -> None:
        self._messages.append(message)

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
        keep = len(self._messages)
        while keep > 0:
            left -= count_tokens(self._messages[keep - 1].text)
            if left < 0 and (keep < len(self._messages) or unsaid):
                break
            keep -= 1
        del self._messages[:keep]
        return [Message("system", instructions), *self._messages, *unsaid]
