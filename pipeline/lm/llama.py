"""Any GGUF model through llama.cpp (xllamacpp), several conversations at once on one copy of it.

llama.cpp's own scheduler batches the conversations token by token and keeps the prompt of each in its slot, so that a
second turn pays only for its new words. One slot more is for the question whether a sentence has ended, which would
otherwise take the place of what some conversation is going to go on with, or wait for the end of a reply.
"""

from __future__ import annotations

import math
import queue
import secrets
import threading
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, TypeAlias

from pipeline.lm.base import NO_TOOLS, LanguageModelError, Message, Piece, Toolbox, estimated_tokens
from pipeline.lm.chat_completions import Answer, chat_request
from pipeline.lm.sentence_ends import is_end, without_end
from pipeline.lm.slots import Slots
from pipeline.stopping import Stop

_Request: TypeAlias = dict[str, Any]
_Chunk: TypeAlias = dict[str, Any]

# The marks are among the likeliest tokens or do not matter; from the tenth on, more of these tell nothing more.
_LIKELIEST = 40
_QUESTION_SLOT = 0
_READ_AT_ONCE = 32
"""Tokens of a prompt. All at once are read no faster (SmolLM2, two cores), and hold up the other replies nearly three
times as long."""


class Llama:
    """Satisfies `pipeline.lm.base.LanguageModel`."""

    tells_ends = True

    def __init__(self, file: Path, *, conversations: int, context_tokens: int) -> None:
        import xllamacpp

        params = xllamacpp.CommonParams()
        params.model.path = str(file)
        params.n_parallel = conversations + 1
        params.n_ctx = context_tokens * params.n_parallel
        # Two are nearly twice as fast as one where a core is free, and as fast where none is, for in the process of a
        # model they do not spin for long (`pipeline/model_process.py`).
        params.cpuparams_batch.n_threads = 2
        params.cpuparams.n_threads = 2
        # A prompt is read in pieces, and who is being written for has a word between two of them.
        params.n_batch = params.n_ubatch = _READ_AT_ONCE
        params.verbosity = 0
        # What a conversation leaves in its slot is worth keeping. A copy of what each one before it left there is not:
        # several megabytes each, up to 8 GB.
        params.cache_ram_mib = 0
        # A history that ends with the assistant asks for more, not for the end of a sentence that is complete.
        params.prefill_assistant = False
        # The library opens a port on loopback beside its in-process calls; nobody else is to use it.
        params.api_keys = [secrets.token_hex(32)]
        self._server = xllamacpp.Server(params)
        # Left to itself, the library would have a conversation read in the question's slot too.
        self._slots = Slots(range(_QUESTION_SLOT + 1, params.n_parallel))
        # Let go before its loop has begun, the library waits for ever. A first answer is proof that it has begun.
        self.sentence_ends("Hello", stop=Stop())

    def reply(
        self, messages: Sequence[Message], *, max_tokens: int, toolbox: Toolbox = NO_TOOLS, stop: Stop
    ) -> Iterator[Piece]:
        """See `LanguageModel`. What the model sees of the tools, and whether it can call any, is up to its template.

        Raises:
            LanguageModelError: what llama.cpp says went wrong.
        """
        request, answer = chat_request(messages, max_tokens, toolbox), Answer()
        with self._slots.taken(messages) as slot:
            placed = request | {"id_slot": slot}
            with closing(self._chunks(self._server.handle_chat_completions, placed, stop)) as chunks:
                for chunk in chunks:
                    if text := answer.take(chunk):
                        yield text
        yield from answer.rest()

    def prepare(self, messages: Sequence[Message], toolbox: Toolbox = NO_TOOLS, *, stop: Stop) -> None:
        """See `LanguageModel`. What was read stays in a slot, where the prompt that goes on with it is looked for."""
        for _ in self.reply(messages, max_tokens=0, toolbox=toolbox, stop=stop):
            pass

    def sentence_ends(self, text: str, *, stop: Stop) -> float | None:
        """See `LanguageModel`: the probability that the next token after the last of the words is a mark that ends a
        sentence.

        Raises:
            LanguageModelError: what llama.cpp says went wrong.
        """
        said = without_end(text)
        if not said:
            return None
        request = {
            "prompt": said,
            "n_predict": 1,
            "n_probs": _LIKELIEST,
            # No probabilities are told of a token that is half a character, so what is written is always this. They
            # are those from before it.
            "logit_bias": [[".", 100.0]],
            "temperature": 0.0,
            "stream": True,
            "cache_prompt": True,
            "id_slot": _QUESTION_SLOT,
        }
        with closing(self._chunks(self._server.handle_completions, request, stop)) as chunks:
            for chunk in chunks:
                if told := chunk["choices"][0].get("logprobs"):
                    return probability_of_end(told["content"][0]["top_logprobs"])
        return None

    def count_tokens(self, text: str) -> int:
        """An estimate: exact counts would need a round trip through the model's queue."""
        return estimated_tokens(text)

    def _chunks(
        self, handle: Callable[[_Request, Callable[[_Chunk], bool]], object], request: _Request, stop: Stop
    ) -> Generator[_Chunk]:
        """What llama.cpp answers, as it comes."""
        # The library calls back from its own loop, while an iterator is pulled: a thread stands between the two.
        chunks: queue.SimpleQueue[_Chunk | BaseException | None] = queue.SimpleQueue()
        closed = threading.Event()

        def on_chunk(chunk: _Chunk) -> bool:
            if "error" in chunk:
                chunks.put(LanguageModelError(str(chunk["error"].get("message", chunk["error"]))))
                return True
            chunks.put(chunk)
            return closed.is_set()

        def generate() -> None:
            try:
                handle(request, on_chunk)
                chunks.put(None)
            except BaseException as error:
                chunks.put(error)

        def interrupt() -> None:
            closed.set()
            chunks.put(None)

        with stop.interrupting(interrupt):
            thread = threading.Thread(target=generate, name="llama", daemon=True)
            thread.start()
            try:
                while (chunk := chunks.get()) is not None:
                    if isinstance(chunk, BaseException):
                        raise chunk
                    yield chunk
            finally:
                closed.set()
                thread.join()


def probability_of_end(likeliest: Sequence[Mapping[str, Any]]) -> float:
    """Args: `likeliest` of the tokens that may come next: `token` as text, `logprob`."""
    ends = (math.exp(one["logprob"]) for one in likeliest if is_end(one["token"]))
    return min(1.0, sum(ends))
