"""The form of OpenAI's chat completions, in which llama.cpp is asked in this process and other servers over HTTP."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any
from uuid import uuid4

from pipeline.lm.base import CutOff, Message, Piece, Toolbox, ToolCall, Usage


def chat_request(messages: Sequence[Message], max_tokens: int, toolbox: Toolbox) -> dict[str, Any]:
    """A streamed answer, greedy: the same conversation gets the same answer, which is what a gate wants."""
    request: dict[str, Any] = {
        "messages": chat_messages(messages),
        "stream": True,
        "max_tokens": max_tokens,
        "temperature": 0.0,
    }
    if toolbox.tools:
        request["tools"] = chat_tools(toolbox)
        request["tool_choice"] = "required" if toolbox.required else "auto"
    return request


def chat_tools(toolbox: Toolbox) -> list[dict[str, Any]]:
    return [{"type": "function", "function": asdict(tool)} for tool in toolbox.tools]


def chat_messages(messages: Sequence[Message]) -> list[dict[str, Any]]:
    """The calls of an answer are a part of its message."""
    chat: list[dict[str, Any]] = []
    for message in messages:
        calls = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
            for call in message.calls
        ]
        if calls and chat and chat[-1]["role"] == "assistant":
            chat[-1].setdefault("tool_calls", []).extend(calls)
            continue
        told: dict[str, Any] = {"role": message.role, "content": message.text}
        if calls:
            told["tool_calls"] = calls
        if message.call_id is not None:
            told["tool_call_id"] = message.call_id
        chat.append(told)
    return chat


def new_call_id() -> str:
    """For a call of a model that gives it none."""
    return f"call_{uuid4().hex[:24]}"


class Answer:
    """One answer as it comes in chunks: text at once, calls when they are whole.

    Attributes:
        over: the model has said that this was the end of it.
    """

    def __init__(self) -> None:
        self.over = False
        self._calls: dict[int, ToolCall] = {}
        self._cut = False
        self._usage: Usage | None = None

    def take(self, chunk: Mapping[str, Any]) -> str:
        """The text in a chunk.

        Raises:
            AttributeError, KeyError, TypeError: it is not a chunk of a chat completion.
        """
        text = ""
        for choice in chunk.get("choices") or ():
            delta = choice.get("delta") or {}
            text += delta.get("content") or ""
            for part in delta.get("tool_calls") or ():
                self._extend(part)
            self._cut = self._cut or choice.get("finish_reason") == "length"
            self.over = self.over or choice.get("finish_reason") is not None
        if usage := chunk.get("usage"):
            self._usage = Usage(int(usage["prompt_tokens"]), int(usage["completion_tokens"]))
        return text

    def rest(self) -> Iterator[Piece]:
        """What can be told only at the end."""
        for call in self._calls.values():
            yield replace(call, id=call.id or new_call_id())
        if self._cut:
            yield CutOff()
        if self._usage is not None:
            yield self._usage

    def _extend(self, part: Mapping[str, Any]) -> None:
        function = part.get("function") or {}
        call = self._calls.get(part.get("index", 0), ToolCall("", "", ""))
        self._calls[part.get("index", 0)] = replace(
            call,
            id=part.get("id") or call.id,
            name=call.name + (function.get("name") or ""),
            arguments=call.arguments + (function.get("arguments") or ""),
        )
