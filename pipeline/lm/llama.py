"""Any GGUF model through llama.cpp (xllamacpp), several conversations at once on one copy of it.

llama.cpp's own scheduler batches the conversations token by token and keeps the prompt of each in its slot, so that a
second turn pays only for its new words.
"""

from __future__ import annotations

import queue
import secrets
import threading
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any
from uuid import uuid4

from pipeline.lm.base import NO_TOOLS, CutOff, Message, Piece, Toolbox, ToolCall, estimated_tokens


class LanguageModelError(RuntimeError):
    """The model refused the request or failed in the middle of an answer."""


class Llama:
    """Greedy decoding: the same conversation gets the same answer, which is what a gate wants."""

    def __init__(self, file: Path, *, conversations: int, context_tokens: int) -> None:
        import xllamacpp

        params = xllamacpp.CommonParams()
        params.model.path = str(file)
        params.n_parallel = conversations
        params.n_ctx = context_tokens * conversations
        # More threads wait for each other by spinning, which takes the cores from everybody as soon as callers overlap:
        # with four on two cores, a second one for prompts made the slowest tenth wait for 3.7 s instead of 2.2 s.
        params.cpuparams_batch.n_threads = 1
        params.cpuparams.n_threads = 1
        params.verbosity = 0
        # A history that ends with the assistant asks for more, not for the end of a sentence that is complete.
        params.prefill_assistant = False
        # The library opens a port on loopback beside its in-process calls; nobody else is to use it.
        params.api_keys = [secrets.token_hex(32)]
        self._server = xllamacpp.Server(params)
        # Let go before its loop has begun, the library waits for ever. A first token is proof that it has begun.
        for _ in self.reply([Message("user", "Hello")], max_tokens=1):
            pass

    def reply(self, messages: Sequence[Message], *, max_tokens: int, toolbox: Toolbox = NO_TOOLS) -> Iterator[Piece]:
        """See `LanguageModel`. What the model sees of the tools, and whether it can call any, is up to its template.

        Raises:
            LanguageModelError: what llama.cpp says went wrong.
        """
        request: dict[str, Any] = {
            "messages": chat_messages(messages),
            "stream": True,
            "max_tokens": max_tokens,
            "temperature": 0.0,
        }
        if toolbox.tools:
            request["tools"] = [{"type": "function", "function": asdict(tool)} for tool in toolbox.tools]
            request["tool_choice"] = "required" if toolbox.required else "auto"
        # The library calls back from its own loop, while an iterator is pulled: a thread stands between the two.
        pieces: queue.SimpleQueue[Piece | BaseException | None] = queue.SimpleQueue()
        closed = threading.Event()
        answer = _Answer()

        def on_chunk(chunk: dict[str, Any]) -> bool:
            if "error" in chunk:
                pieces.put(LanguageModelError(str(chunk["error"].get("message", chunk["error"]))))
                return True
            if text := answer.take(chunk):
                pieces.put(text)
            return closed.is_set()

        def generate() -> None:
            try:
                self._server.handle_chat_completions(request, on_chunk)
                for piece in answer.rest():
                    pieces.put(piece)
                pieces.put(None)
            except BaseException as error:
                pieces.put(error)

        thread = threading.Thread(target=generate, name="llama-reply", daemon=True)
        thread.start()
        try:
            while (piece := pieces.get()) is not None:
                if isinstance(piece, BaseException):
                    raise piece
                yield piece
        finally:
            closed.set()
            thread.join()

    def prepare(self, messages: Sequence[Message], toolbox: Toolbox = NO_TOOLS) -> None:
        """See `LanguageModel`. What was read stays in a slot, where the prompt that goes on with it is looked for."""
        for _ in self.reply(messages, max_tokens=0, toolbox=toolbox):
            pass

    def count_tokens(self, text: str) -> int:
        """An estimate: exact counts would need a round trip through the model's queue."""
        return estimated_tokens(text)


def chat_messages(messages: Sequence[Message]) -> list[dict[str, Any]]:
    """In the form of the chat completions of OpenAI, where the calls of an answer are a part of its message."""
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


class _Answer:
    """One answer as it comes in chunks: text at once, calls when they are whole."""

    def __init__(self) -> None:
        self._calls: dict[int, ToolCall] = {}
        self._cut = False

    def take(self, chunk: dict[str, Any]) -> str:
        """The text in a chunk."""
        text = ""
        for choice in chunk.get("choices", ()):
            delta = choice.get("delta", {})
            text += delta.get("content") or ""
            for part in delta.get("tool_calls") or ():
                self._extend(part)
            self._cut = self._cut or choice.get("finish_reason") == "length"
        return text

    def rest(self) -> Iterator[Piece]:
        """What can be told only at the end."""
        for call in self._calls.values():
            yield replace(call, id=call.id or f"call_{uuid4().hex[:24]}")
        if self._cut:
            yield CutOff()

    def _extend(self, part: dict[str, Any]) -> None:
        function = part.get("function", {})
        call = self._calls.get(part.get("index", 0), ToolCall("", "", ""))
        self._calls[part.get("index", 0)] = replace(
            call,
            id=part.get("id") or call.id,
            name=call.name + (function.get("name") or ""),
            arguments=call.arguments + (function.get("arguments") or ""),
        )
