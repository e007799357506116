"""The language model, as the engine sees it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol


@dataclass(frozen=True, slots=True)
class Message:
    role: Literal["system", "user", "assistant"]
    text: str


class LanguageModel(Protocol):
    """May be called from several worker threads at once."""

    def reply(self, messages: Sequence[Message], *, max_tokens: int) -> Iterator[str]:
        """Stream the answer to the last message, piece by piece (about a token each). Closing the iterator stops it."""
        ...

    def prepare(self, messages: Sequence[Message]) -> None:
        """Read the beginning of a prompt ahead of time: the last message is not complete yet."""
        ...

    def count_tokens(self, text: str) -> int:
        """How many tokens `text` takes, for usage figures and for trimming history."""
        ...
