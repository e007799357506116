"""A judge that knows the reference server's tones, and no other language."""

from __future__ import annotations

import math

import numpy as np

from harness.fixtures.store import FloatArray
from harness.reference.voice import LOWEST_HZ, RATIO, WORDS

_RATE_HZ = 16_000
_WINDOW = 80
"""Samples, 5 ms."""
_AUDIBLE = 0.01
_SHORTEST_WINDOWS = 8
_LOWEST_HZ = 100
_NEAR = 0.25
"""Of the way to the next tone."""
_UNKNOWN = "noise"


class ToneListener:
    """Hears which tone lies between two silences."""

    name = "tones"
    version = "1"

    def transcribe(self, samples_16k: FloatArray, language: str) -> str:
        """The words of the tones in float32 mono at 16 kHz, shape (samples,), in any language."""
        whole = samples_16k[: samples_16k.size - samples_16k.size % _WINDOW].reshape(-1, _WINDOW)
        sounding = np.concatenate(([0], np.sqrt(np.mean(whole.astype(np.float64) ** 2, axis=1)) > _AUDIBLE, [0]))
        edges = np.diff(sounding.astype(np.int8))
        tones = zip(np.flatnonzero(edges == 1), np.flatnonzero(edges == -1), strict=True)
        return " ".join(
            _word(samples_16k[start * _WINDOW : end * _WINDOW])
            for start, end in tones
            if end - start >= _SHORTEST_WINDOWS
        )


def _word(tone: FloatArray) -> str:
    spectrum = np.abs(np.fft.rfft(tone * np.hanning(tone.size), n=_RATE_HZ))  # a bin a hertz
    frequency_hz = _LOWEST_HZ + int(np.argmax(spectrum[_LOWEST_HZ:]))
    step = math.log(frequency_hz / LOWEST_HZ, RATIO)
    index = round(step)
    return WORDS[index] if 0 <= index < len(WORDS) and abs(step - index) < _NEAR else _UNKNOWN
