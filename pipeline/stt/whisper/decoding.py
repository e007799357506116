"""Greedy decoding, which takes a draft: as far as it is what the model would have written, it costs one run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.audio import FloatArray
from pipeline.stopping import Stop
from pipeline.stt.whisper.network import Heard, Network


@dataclass(frozen=True, slots=True)
class Decoded:
    """What the decoder wrote.

    Attributes:
        tokens: without the end of the text.
        ends: before each token, and after the last: the probability that a sentence ends there.
        log_probability: the mean over the tokens and the end.
    """

    tokens: list[int]
    ends: list[float]
    log_probability: float


class Decoder:
    def __init__(self, network: Network, end_of_text: int) -> None:
        self._network = network
        self._end_of_text = end_of_text

    def write(
        self, heard: Heard, prompt: Sequence[int], draft: Sequence[int], most: int, stop: Stop
    ) -> tuple[Decoded, FloatArray]:
        """Write at most `most` tokens after `prompt`.

        Returns what was written, and the log probabilities of the named tokens after the first token of `prompt`:
        float32, shape (names,).

        Raises:
            Stopped: told to stop.
        """
        given = [*prompt, *draft[:most]]
        told, memory = self._network.read(given, 0, None, heard, stop)
        named = told.named[0]
        begin = len(prompt) - 1
        likeliest = [int(told.first[begin]), *map(int, told.best[begin + 1 :])]
        ends = [float(end) for end in told.ends[begin:]]
        logs = [float(log) for log in told.log_probability[begin:]]
        drafted = 0
        while drafted < len(given) - len(prompt) and draft[drafted] == likeliest[drafted]:
            drafted += 1
        tokens, following = list(draft[:drafted]), likeliest[drafted]
        ends, logs = ends[: drafted + 1], logs[: drafted + 1]
        memory = self._network.shortened(memory, len(prompt) + drafted)
        while following != self._end_of_text and len(tokens) < most:
            told, memory = self._network.read([following], len(prompt) + len(tokens), memory, heard, stop)
            tokens.append(following)
            following = int(told.best[0])
            ends.append(float(told.ends[0]))
            logs.append(float(told.log_probability[0]))
        return Decoded(tokens, ends, float(np.mean(logs))), named
