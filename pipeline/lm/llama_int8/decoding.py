"""The steps of a Llama in 8 bits, for the batch: `pipeline.lm.batching`."""

from __future__ import annotations

import math
import mmap
from collections.abc import Sequence
from contextlib import suppress

import numpy as np

from pipeline.audio import FloatArray
from pipeline.lm.llama_int8.graph import cache_names, network_graph
from pipeline.lm.llama_int8.model_file import ModelFile
from pipeline.onnx_session import Arrays, OnnxSession
from pipeline.stopping import Stop


class OnnxDecoding:
    """Satisfies `pipeline.lm.batching.Decoding`."""

    on_processor = True
    # So many take three times as long as one, and as many times that hold up whoever is being written for.
    read_at_once = 32
    most_drafted = 4  # five take a tenth more than one

    def __init__(self, file: ModelFile, *, conversations: int, context_tokens: int, threads: int) -> None:
        self.conversations = conversations
        self.context_tokens = context_tokens
        self._shape = file.shape
        # One more than is ever held: where a step leaves what it makes of a slot that has no part in it.
        places = context_tokens + 1
        self._session = OnnxSession(network_graph(file, places), threads=threads)
        self._caches = {name: _mapped((conversations, *self._slot_shape(places))) for name in cache_names(self._shape)}
        self._held = [0] * conversations

    def read(self, slot: int, tokens: Sequence[int], before: int) -> int:
        """See `Decoding`."""
        return self._read(slot, tokens, before, wanted=1)[-1]

    def verify(self, slot: int, tokens: Sequence[int], before: int) -> list[int]:
        """See `Decoding`."""
        return self._read(slot, tokens, before, wanted=len(tokens))

    def step(self, fed: Sequence[tuple[int, int, int]]) -> list[int]:
        """See `Decoding`. It runs the first slots up to the last that is in use."""
        slots = max(slot for slot, _, _ in fed) + 1
        tokens, last = [[0]] * slots, self._held[:slots]
        for slot, token, before in fed:
            tokens[slot], last[slot] = [token], before
            self._held[slot] = before + 1
        caches = {name: kept[:slots] for name, kept in self._caches.items()}
        best = self._run(tokens, last, caches, Stop(), wanted=1).argmax(1).tolist()
        return [best[slot] for slot, _, _ in fed]

    def copy(self, source: int, target: int, length: int) -> None:
        """See `Decoding`."""
        for kept in self._caches.values():
            kept[target, :, :length] = kept[source, :, :length]
        self._held[target] = length

    def swap(self, one: int, other: int, length: int) -> None:
        """See `Decoding`."""
        for kept in self._caches.values():
            kept[[one, other], :, :length] = kept[[other, one], :, :length]
        self._held[one], self._held[other] = self._held[other], self._held[one]

    def following(self, tokens: Sequence[int], stop: Stop) -> FloatArray:
        """How likely each word is to follow a text that is in no slot: logits, shape (words,). From any thread.

        Raises:
            Stopped: told to stop.
        """
        empty = np.zeros((1, *self._slot_shape(len(tokens))), np.float32)
        caches = {name: empty.copy() for name in cache_names(self._shape)}
        logits: FloatArray = self._run([tokens], [len(tokens) - 1], caches, stop, wanted=1)[0]
        return logits

    def _read(self, slot: int, tokens: Sequence[int], before: int, *, wanted: int) -> list[int]:
        """The likeliest after each of the last `wanted`."""
        self._held[slot] = before + len(tokens)
        # One alone is multiplied in another order than several are, and what is rounded otherwise may become another
        # word. With a second, which is not held, a text is the same however much of it is read at once.
        spare = int(len(tokens) == 1)
        read = [*tokens, *tokens[:spare]]
        caches = {name: kept[slot : slot + 1] for name, kept in self._caches.items()}
        logits = self._run([read], [before + len(read) - 1], caches, Stop(), wanted=wanted + spare)
        best: list[int] = logits[:wanted].argmax(axis=1).tolist()
        return best

    def _slot_shape(self, places: int) -> tuple[int, int, int]:
        return self._shape.key_heads, places, self._shape.head_width

    def _run(
        self, tokens: Sequence[Sequence[int]], last: Sequence[int], caches: Arrays, stop: Stop, *, wanted: int
    ) -> FloatArray:
        """`tokens`, as many for each slot, and the place of the `last` of each; returns what follows each of the last
        `wanted` of every slot, shape (slots x wanted, words)."""
        slots, count = len(tokens), len(tokens[0])
        rows = np.arange(slots * count, dtype=np.int64).reshape(slots, count)
        inputs: Arrays = {
            "tokens": np.array(tokens, np.int64).reshape(1, -1),
            "apart": np.array([slots, count, -1], np.int64),
            "last": np.array(last, np.int32),
            "seen": np.array(max(last) + 1, np.int32),
            "wanted": rows[:, -wanted:].reshape(-1),
        }
        kept = {(f"before:{name}", name): cache for name, cache in caches.items()}
        logits: FloatArray = self._session.run_in_place(inputs, kept, "logits", stop)[0]
        return logits


def _mapped(shape: tuple[int, ...]) -> FloatArray:
    """Zeros that take memory only where something is held, which large pages would undo."""
    memory = mmap.mmap(-1, math.prod(shape) * 4)
    if hasattr(mmap, "MADV_NOHUGEPAGE"):
        with suppress(OSError):  # of a kernel that has none
            memory.madvise(mmap.MADV_NOHUGEPAGE)
    return np.frombuffer(memory, np.float32).reshape(shape)
