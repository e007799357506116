"""Whether the microphone hears nobody but the reply's own loudspeaker.

Most callers cancel echo themselves; this is for those who do not. What was sent is kept for a moment, and what comes in
while it plays is compared with it: where the two agree, at any delay that a room and a network can make, it is an echo.
"""

from __future__ import annotations

import numpy as np
import scipy.fft
import soxr

from pipeline.audio import INPUT_RATE_HZ, OUTPUT_RATE_HZ, FloatArray

WINDOW_S = 0.4
"""How much of the microphone is compared."""

_RATE_HZ = 8_000
"""Above 4 kHz a soft echo is lost in the noise of the room."""
_LONGEST_DELAY_S = 1.0
_LEAST_CORRELATION = 0.5
"""Speech of two people agrees by chance up to about 0.3 at the best of all delays, an echo in a room from 0.6 on."""
_EMPHASIS = 0.7


class EchoGuard:
    """Times are seconds on the clock by which the audio is sent and received.

    `lead_s` is how far ahead of the caller's loudspeaker audio is sent at most; so much more of it is kept.
    """

    def __init__(self, lead_s: float) -> None:
        self._kept_s = WINDOW_S + _LONGEST_DELAY_S + lead_s
        self._sent = np.zeros(0, np.float32)
        self._ends_at_s = 0.0

    def sent(self, samples_24k: FloatArray, begins_at_s: float) -> None:
        """The caller's loudspeaker plays this from `begins_at_s` on."""
        samples = soxr.resample(samples_24k, OUTPUT_RATE_HZ, _RATE_HZ, quality="LQ").astype(np.float32)
        silent_s = min(max(0.0, begins_at_s - self._ends_at_s), self._kept_s) if self._sent.size else self._kept_s
        silence = np.zeros(round(silent_s * _RATE_HZ), np.float32)
        before = np.concatenate([self._sent, silence])[-round(self._kept_s * _RATE_HZ) :]
        self._sent = np.concatenate([before, samples])
        self._ends_at_s = begins_at_s + samples_24k.size / OUTPUT_RATE_HZ

    def explains(self, microphone_16k: FloatArray, now_s: float) -> bool:
        """Whether the last `WINDOW_S` of the microphone, which end `now_s`, are an echo of what was sent."""
        silent_s = now_s - self._ends_at_s
        if silent_s >= WINDOW_S + _LONGEST_DELAY_S:
            return False
        microphone = microphone_16k[-round(WINDOW_S * INPUT_RATE_HZ) :]
        heard = _brightened(soxr.resample(microphone, INPUT_RATE_HZ, _RATE_HZ, quality="LQ"))
        silence = np.zeros(max(0, round(silent_s * _RATE_HZ)), np.float32)
        until = self._sent.size + round(silent_s * _RATE_HZ)
        since = until - heard.size - round(_LONGEST_DELAY_S * _RATE_HZ)
        played = _brightened(np.concatenate([self._sent, silence])[max(0, since) : max(0, until)])
        return played.size >= heard.size > 0 and _best_agreement(heard, played) >= _LEAST_CORRELATION


def _brightened(samples: FloatArray) -> FloatArray:
    """With the fall of a voice's spectrum evened out: else the few low partials of any two agree at some delay."""
    return (samples[1:] - np.float32(_EMPHASIS) * samples[:-1]).astype(np.float32)


def _best_agreement(part: FloatArray, whole: FloatArray) -> float:
    """The largest normalised correlation of `part` with any stretch of `whole`, in [0, 1]."""
    # This runs on the event loop: single precision, and no longer than the stretches that lie inside of `whole` need.
    size = scipy.fft.next_fast_len(whole.size, real=True)
    products = scipy.fft.irfft(scipy.fft.rfft(whole, size) * np.conj(scipy.fft.rfft(part, size)), size)
    products = products[: whole.size - part.size + 1]
    sums = np.concatenate([[0.0], np.cumsum(np.square(whole, dtype=np.float64))])
    energies = sums[part.size :] - sums[: sums.size - part.size]
    # A stretch that is all but silent agrees with anything, by rounding.
    audible = energies > 1e-3 * energies.max()
    energy = float(np.square(part, dtype=np.float64).sum())
    if energy == 0.0 or not audible.any():
        return 0.0
    return float(np.max(np.abs(products[audible]) / np.sqrt(energies[audible] * energy)))
