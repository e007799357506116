"""Whisper's encoder and decoder, as the engine sees them whatever runs them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from pipeline.audio import FloatArray
from pipeline.stopping import Stop

Heard: TypeAlias = Any
"""What the decoder sees of the encoder."""
Memory: TypeAlias = Any
"""What the decoder keeps of the tokens it has read; None before the first."""


@dataclass(frozen=True, slots=True)
class Tokens:
    """Which tokens mean what to the decoder's outputs.

    Attributes:
        named: whose probabilities are wanted at every place.
        ends: that end a sentence: the marks, and the end of the text.
        never: that are not text.
        never_first: that begin no text.
    """

    named: tuple[int, ...]
    ends: tuple[int, ...]
    never: tuple[int, ...]
    never_first: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Following:
    """What follows each of n tokens.

    Attributes:
        best: the likeliest token of a text, or with which one begins, int64, shape (n,).
        log_probability: of `best`, shape (n,).
        given: log probability of the token that was given next, shape (n,); the last is of none.
        ends: the probability that a sentence ends there, shape (n,).
        named: log probabilities of `Tokens.named`, shape (n, names).
    """

    best: npt.NDArray[np.int64]
    log_probability: FloatArray
    given: FloatArray
    ends: FloatArray
    named: FloatArray


class Network(Protocol):
    """Called from one thread at a time. Every method that is given a `stop` raises `Stopped` when it is told."""

    mels: int

    def hear(self, mel: FloatArray, stop: Stop, *, quick: bool) -> Heard:
        """Encode log-mel frames of 10 ms: float32, shape (1, mels, frames). For `quick` see `SpeechToText`."""
        ...

    def read(
        self,
        tokens: Sequence[int],
        before: int,
        memory: Memory,
        heard: Heard,
        stop: Stop,
        *,
        opening: int | None = None,
    ) -> tuple[Following, Memory]:
        """Go on after the `before` tokens of `memory`, which is used up: only the one that is returned is good.

        After the token at the place `opening` the text begins, if it begins here.
        """
        ...

    def shortened(self, memory: Memory, length: int) -> Memory:
        """The memory of the first `length` tokens."""
        ...
