"""Any GGUF model through llama.cpp (xllamacpp), several conversations at once on one copy of it.

llama.cpp's own scheduler batches the conversations token by token and keeps the prompt of each in its slot, so that a
second turn pays only for its new words.
"""

from __future__ import annotations

import queue
import secrets
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from pipeline.lm.base import Message


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
        # A prompt is waited for by everybody; its answer is written while the synthesiser, which needs the cores more,
        # already speaks the beginning of it.
        params.cpuparams_batch.n_threads = 2
        params.cpuparams.n_threads = 1
        params.verbosity = 0
        # The library opens a port on loopback beside its in-process calls; nobody else is to use it.
        params.api_keys = [secrets.token_hex(32)]
        self._server = xllamacpp.Server(params)
        # Let go before its loop has begun, the library waits for ever. A first token is proof that it has begun.
        for _ in self.reply([Message("user", "Hello")], max_tokens=1):
            pass

    def reply(self, messages: Sequence[Message], *, max_tokens: int) -> Iterator[str]:
        """See `LanguageModel`.

        Raises:
            LanguageModelError: what llama.cpp says went wrong.
        """
        request = {
            "messages": [{"role": message.role, "content": message.text} for message in messages],
            "stream": True,
            "max_tokens": max_tokens,
            "temperature": 0.0,
        }
        # The library calls back from its own loop, while an iterator is pulled: a thread stands between the two.
        pieces: queue.SimpleQueue[str | BaseException | None] = queue.SimpleQueue()
        closed = threading.Event()

        def on_chunk(chunk: dict[str, Any]) -> bool:
            if "error" in chunk:
                pieces.put(LanguageModelError(str(chunk["error"].get("message", chunk["error"]))))
                return True
            for choice in chunk.get("choices", ()):
                if text := choice.get("delta", {}).get("content"):
                    pieces.put(text)
            return closed.is_set()

        def generate() -> None:
            try:
                self._server.handle_chat_completions(request, on_chunk)
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

    def prepare(self, messages: Sequence[Message]) -> None:
        """See `LanguageModel`. What was read stays in a slot, where the prompt that goes on with it is looked for."""
        for _ in self.reply(messages, max_tokens=0):
            pass

    def count_tokens(self, text: str) -> int:
        """An estimate, about four bytes a token: exact counts would need a round trip through the model's queue."""
        return len(text.encode()) // 4 + 1
