"""A language model that repeats what it heard: deterministic, so that words can be measured end to end."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pipeline.lm.base import NO_TOOLS, Message, Toolbox
from pipeline.stopping import Stop


class Echo:
    """Calls no tool, whatever is asked for."""

    tells_ends = False

    def reply(
        self, messages: Sequence[Message], *, max_tokens: int, toolbox: Toolbox = NO_TOOLS, stop: Stop
    ) -> Iterator[str]:
        """Yield the last user message, whole: a limit would make the words that are measured depend on a setting."""
        for message in reversed(messages):
            if message.role == "user":
                yield message.text
                return

    def prepare(self, messages: Sequence[Message], toolbox: Toolbox = NO_TOOLS, *, stop: Stop) -> None:
        """There is nothing to prepare."""

    def sentence_ends(self, text: str, *, stop: Stop) -> None:
        """It knows nothing of language."""

    def count_tokens(self, text: str) -> int:
        """Characters: the echo has no vocabulary."""
        return len(text)
