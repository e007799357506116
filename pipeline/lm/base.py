"""The language model, as the engine sees it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, Protocol, TypeAlias

from pipeline.stopping import Stop


class LanguageModelError(RuntimeError):
    """The model refused the request, cannot be reached, or failed in the middle of an answer; the message says why."""


@dataclass(frozen=True, slots=True)
class ToolCall:
    """The model asks for a function of the caller's program.

    Attributes:
        id: which the result will name.
        arguments: as the model wrote them: a JSON object, if it kept to the schema.
    """

    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class Message:
    """`calls` are of the assistant; a `tool` message is the result of the call that `call_id` names."""

    role: Literal["system", "user", "assistant", "tool"]
    text: str
    calls: tuple[ToolCall, ...] = ()
    call_id: str | None = None

    @property
    def written(self) -> str:
        """All that there is to read of it."""
        return "".join([self.text, *(part for call in self.calls for part in (call.name, call.arguments))])


@dataclass(frozen=True, slots=True)
class Tool:
    """A function that the model may ask for; `parameters` is the JSON schema of its arguments."""

    name: str
    description: str
    parameters: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Toolbox:
    """What may be called in one reply; `required` is that something must be."""

    tools: tuple[Tool, ...] = ()
    required: bool = False

    @property
    def written(self) -> str:
        """All that there is to read of it."""
        return "".join(json.dumps(asdict(tool), ensure_ascii=False) for tool in self.tools)


NO_TOOLS = Toolbox()


@dataclass(frozen=True, slots=True)
class CutOff:
    """The answer reached `max_tokens` before its end."""


@dataclass(frozen=True, slots=True)
class Usage:
    """What an answer took, where the model tells: tokens of the whole prompt and of the answer."""

    prompt_tokens: int
    reply_tokens: int


Piece: TypeAlias = str | ToolCall | CutOff | Usage


def estimated_tokens(text: str) -> int:
    """About four bytes a token, for whoever cannot wait for an exact count."""
    return len(text.encode(errors="replace")) // 4 + 1


class LanguageModel(Protocol):
    """May be called from several worker threads at once.

    Attributes:
        tells_ends: whether `sentence_ends` ever tells anything.
    """

    tells_ends: bool

    def reply(
        self, messages: Sequence[Message], *, max_tokens: int, toolbox: Toolbox = NO_TOOLS, stop: Stop
    ) -> Iterator[Piece]:
        """Stream the answer to the last message: text piece by piece (about a token each), then whole tool calls, then
        `CutOff` if it was, then `Usage` from a model that tells. Closing the iterator stops it. A model that knows
        nothing of tools ignores them.

        Args:
            stop: for a caller who waits for a piece, and for what waits for its turn.

        Raises:
            LanguageModelError: see there.
            Stopped: told to stop while a piece was waited for.
        """
        ...

    def prepare(self, messages: Sequence[Message], toolbox: Toolbox = NO_TOOLS, *, stop: Stop) -> None:
        """Read the beginning of a prompt ahead of time: the last message is not complete yet.

        Raises: as `reply` does.
        """
        ...

    def sentence_ends(self, text: str, *, stop: Stop) -> float | None:
        """How probable it is that `text`, which need not be whole, is a finished sentence; None where that cannot be
        told. The marks at its end do not count: whoever wrote it down put them there on less evidence.

        Raises: as `reply` does.
        """
        ...

    def count_tokens(self, text: str) -> int:
        """How many tokens `text` takes, for usage figures and for trimming history."""
        ...
