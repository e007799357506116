"""How Whisper's engines cut speech into windows, and tell an answer that has run away from one that has not.

Whisper was trained on windows of 30 s, and encoding one costs the same whatever was said in it. A shorter one does, if
it is not too tight: then the model repeats itself.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from pipeline.audio import INPUT_RATE_HZ, FloatArray

FULL_WINDOW_S = 30.0
DECODER_TOKENS = 440
"""As many as the model has places for, with room for the prompt."""

_HOP_SAMPLES = 160
# Fast speech in any of the six languages stays well below this; an answer that reaches it has run away.
_TOKENS_PER_SECOND = 16
_TOKENS_AT_LEAST = 24
_FASTEST_TOKENS_PER_SECOND = 7.5
"""Of the recordings, with the pauses in them, the fastest is one in Japanese, of 7; the others have 3 to 6."""
# The customary limits of Whisper's decoders (openai/whisper, transcribe.py).
_MOST_COMPRESSION = 2.4
_LEAST_LOG_PROBABILITY = -1.0
_LEAST_LOG_NO_SPEECH = float(np.log(0.6))


def window_s(samples_16k: FloatArray, *, shortest_s: float, padding_s: float) -> float:
    """A window that fits: silence of `padding_s` behind the speech, and `shortest_s` in all."""
    return min(max(shortest_s, samples_16k.size / INPUT_RATE_HZ + padding_s), FULL_WINDOW_S)


def mel_frames(extractor: Any, samples_16k: FloatArray, seconds: float) -> FloatArray:
    """The log-mel frames of 10 ms that fill a window: float32, shape (1, mels, frames)."""
    window = np.zeros(int(seconds * INPUT_RATE_HZ) // _HOP_SAMPLES * _HOP_SAMPLES, dtype=np.float32)
    window[: samples_16k.size] = samples_16k[: window.size]
    frames = extractor(window, padding=0)[:, : window.size // _HOP_SAMPLES]
    return np.ascontiguousarray(frames[None], dtype=np.float32)


def token_budget(samples_16k: FloatArray) -> int:
    """How many tokens an answer may have."""
    return min(_TOKENS_AT_LEAST + int(samples_16k.size / INPUT_RATE_HZ * _TOKENS_PER_SECOND), DECODER_TOKENS)


def fastest_tokens(samples_16k: FloatArray) -> int:
    """How many tokens the fastest speech has in the time."""
    return int(samples_16k.size / INPUT_RATE_HZ * _FASTEST_TOKENS_PER_SECOND)


def ran_away(text: str, tokens: Sequence[int], samples_16k: FloatArray) -> bool:
    """Repetition, by the two signs that catch it: no end within the budget, or a text that compresses too well."""
    encoded = text.encode()
    return len(tokens) >= token_budget(samples_16k) or (
        len(encoded) > 0 and len(encoded) / len(zlib.compress(encoded)) > _MOST_COMPRESSION
    )


def is_no_speech(log_no_speech: float, log_probability: float) -> bool:
    """Whether there are no words: the model says so, and is not sure of those it gave (mean over its tokens)."""
    return log_no_speech > _LEAST_LOG_NO_SPEECH and log_probability < _LEAST_LOG_PROBABILITY


def cut(samples_16k: FloatArray) -> list[FloatArray]:
    """Pieces that fit the full window with room to spare, each ending where its last five seconds are quietest."""
    longest = int((FULL_WINDOW_S - 1.0) * INPUT_RATE_HZ)
    tenth = INPUT_RATE_HZ // 10
    pieces = []
    while samples_16k.size > longest:
        tail = samples_16k[longest - 50 * tenth : longest].reshape(50, tenth)
        at = longest - (50 - int(np.argmin(np.square(tail).mean(axis=1)))) * tenth + tenth // 2
        pieces.append(samples_16k[:at])
        samples_16k = samples_16k[at:]
    pieces.append(samples_16k)
    return pieces
