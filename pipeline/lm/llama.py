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

from pipeline.lm.base import NO_TOOLS, LanguageModelError, Message, Piece, Toolbox, estimated_tokens
from pipeline.lm.chat_completions import Answer, chat_request
from pipeline.stopping import Stop


class Llama:
    """Satisfies `pipeline.lm.base.LanguageModel`."""

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
        # What a conversation leaves in its slot is worth keeping. A copy of what each one before it left there is not:
        # several megabytes each, up to 8 GB.
        params.cache_ram_mib = 0
        # A history that ends with the assistant asks for more, not for the end of a sentence that is complete.
        params.prefill_assistant = False
        # The library opens a port on loopback beside its in-process calls; nobody else is to use it.
        params.api_keys = [secrets.token_hex(32)]
        self._server = xllamacpp.Server(params)
        # Let go before its loop has begun, the library waits for ever. A first token is proof that it has begun.
        for _ in self.reply([Message("user", "Hello")], max_tokens=1, stop=Stop()):
            pass

    def reply(
        self, messages: Sequence[Message], *, max_tokens: int, toolbox: Toolbox = NO_TOOLS, stop: Stop
    ) -> Iterator[Piece]:
        """See `LanguageModel`. What the model sees of the tools, and whether it can call any, is up to its template.

        Raises:
            LanguageModelError: what llama.cpp says went wrong.
        """
        request = chat_request(messages, max_tokens, toolbox)
        # The library calls back from its own loop, while an iterator is pulled: a thread stands between the two.
        pieces: queue.SimpleQueue[Piece | BaseException | None] = queue.SimpleQueue()
        closed = threading.Event()
        answer = Answer()

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

        def interrupt() -> None:
            closed.set()
            pieces.put(None)

        with stop.interrupting(interrupt):
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

    def prepare(self, messages: Sequence[Message], toolbox: Toolbox = NO_TOOLS, *, stop: Stop) -> None:
        """See `LanguageModel`. What was read stays in a slot, where the prompt that goes on with it is looked for."""
        for _ in self.reply(messages, max_tokens=0, toolbox=toolbox, stop=stop):
            pass

    def count_tokens(self, text: str) -> int:
        """An estimate: exact counts would need a round trip through the model's queue."""
        return estimated_tokens(text)
