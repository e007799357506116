"""Greedy decoding, which takes a draft: as far as it is what the model would have written, it costs one run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.onnx_session import Arrays, OnnxSession
from pipeline.stopping import Stop
from pipeline.stt.whisper.graphs import Shape

_HIDDEN = np.float32(-1e9)


@dataclass(frozen=True, slots=True)
class Decoded:
    """What the decoder wrote.

    Attributes:
        tokens: without the end of the text.
        ends: before each token, and after the last: the probability that a sentence ends there.
        log_probability: the mean over the tokens and the end.
        drafted: how many tokens were the draft's.
    """

    tokens: list[int]
    ends: list[float]
    log_probability: float
    drafted: int


class Decoder:
    def __init__(self, session: OnnxSession, shape: Shape, end_of_text: int) -> None:
        self._session = session
        self._end_of_text = end_of_text
        self._own = shape.own_names()
        self._nothing: Arrays = {
            f"before:{name}": np.zeros(
                (1, shape.heads, shape.head_width, 0) if "keys" in name else (1, shape.heads, 0, shape.head_width),
                np.float32,
            )
            for name in self._own
        }

    def names(self, cross: Arrays, prompt: Sequence[int], stop: Stop) -> np.ndarray:
        """Log probabilities of the named tokens after the first token of `prompt`, float32, shape (names,)."""
        told, _ = self._run(prompt[:1], 0, self._nothing, cross, stop)
        return np.asarray(told["named"][0, 0])

    def write(
        self, cross: Arrays, prompt: Sequence[int], draft: Sequence[int], most: int, stop: Stop
    ) -> tuple[Decoded, np.ndarray]:
        """Write at most `most` tokens after `prompt`.

        Returns what was written, and what `names` would have said of this prompt.

        Raises:
            Stopped: told to stop.
        """
        given = [*prompt, *draft[:most]]
        told, memory = self._run(given, 0, self._nothing, cross, stop)
        named = np.asarray(told["named"][0, 0])
        begin = len(prompt) - 1
        likeliest = [int(told["first"][0, begin]), *map(int, told["best"][0, begin + 1 :])]
        ends = [float(end) for end in told["ends"][0, begin:, 0]]
        logs = [float(log) for log in told["log_probability"][0, begin:, 0]]
        drafted = 0
        while drafted < len(given) - len(prompt) and draft[drafted] == likeliest[drafted]:
            drafted += 1
        tokens, following = list(draft[:drafted]), likeliest[drafted]
        ends, logs = ends[: drafted + 1], logs[: drafted + 1]
        memory = _shortened(memory, len(prompt) + drafted)
        while following != self._end_of_text and len(tokens) < most:
            told, memory = self._run([following], len(prompt) + len(tokens), memory, cross, stop)
            tokens.append(following)
            following = int(told["best"][0, 0])
            ends.append(float(told["ends"][0, 0, 0]))
            logs.append(float(told["log_probability"][0, 0, 0]))
        return Decoded(tokens, ends, float(np.mean(logs)), drafted), named

    def _run(
        self, tokens: Sequence[int], before: int, memory: Arrays, cross: Arrays, stop: Stop
    ) -> tuple[Arrays, Arrays]:
        count = len(tokens)
        mask = np.zeros((1, 1, count, before + count), np.float32)
        mask[0, 0, :, before:] = np.triu(np.full((count, count), _HIDDEN), 1)
        inputs: Arrays = {
            "tokens": np.array([tokens], np.int64),
            "positions": np.arange(before, before + count, dtype=np.int64)[None],
            "mask": mask,
            **memory,
            **cross,
        }
        told = dict(zip(self._session.outputs, self._session.run(inputs, stop), strict=True))
        return told, {f"before:{name}": told[name] for name in self._own}


def _shortened(memory: Arrays, length: int) -> Arrays:
    """The memory of the first `length` tokens."""
    return {
        name: np.ascontiguousarray(kept[..., :length] if "keys" in name else kept[..., :length, :])
        for name, kept in memory.items()
    }
