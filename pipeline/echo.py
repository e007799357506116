"""Whether the microphone hears nobody but the reply's own loudspeaker.

Most callers cancel echo themselves; this is for those who do not. What was sent is kept for a moment, and what comes in
while it plays is compared with it: where the two agree, at any delay that a room and a network can make, it is an echo.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import scipy.fft
import soxr

from pipeline.audio import INPUT_RATE_HZ, OUTPUT_RATE_HZ, FloatArray

WINDOW_S = 0.4
"""How much of the microphone is compared."""

_RATE_HZ = 8_000
"""Above 4 kHz a soft echo is lost in the noise of the room."""
_LONGEST_DELAY_S = 1.0
_LONGEST_LEAD_S = 30.0
_LEAST_CORRELATION = 0.5
"""Speech of two people agrees by chance up to about 0.3 at the best of all delays, an echo in a room from 0.6 on."""
_EMPHASIS = 0.7


@dataclass(frozen=True, slots=True)
class _Played:
    """`samples` are float32, shape (samples,), 8 kHz."""

    samples: FloatArray
    begins_at_s: float
    ends_at_s: float


class EchoGuard:
    """Times are seconds on `now`, by which the audio is sent and received.

    Kept is what the loudspeaker has played in the last 1.4 s, and what is queued for it: of that 30 s and no more, so
    about 1 MB a conversation at the most. What is sent still further ahead is taken for a caller when it comes back.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._played: deque[_Played] = deque()

    def sent(self, samples_24k: FloatArray, begins_at_s: float) -> None:
        """The caller's loudspeaker plays this from `begins_at_s` on."""
        now_s = self._now()
        self._forget_before(now_s - WINDOW_S - _LONGEST_DELAY_S)
        while self._played and self._played[-1].begins_at_s >= begins_at_s:
            self._played.pop()  # of a reply that was ended before it was played
        if begins_at_s - now_s <= _LONGEST_LEAD_S:
            samples = soxr.resample(samples_24k, OUTPUT_RATE_HZ, _RATE_HZ, quality="LQ").astype(np.float32)
            self._played.append(_Played(samples, begins_at_s, begins_at_s + samples_24k.size / OUTPUT_RATE_HZ))

    def explains(self, microphone_16k: FloatArray) -> bool:
        """Whether the last `WINDOW_S` of the microphone, which end now, are an echo of what was sent."""
        now_s = self._now()
        since_s = now_s - WINDOW_S - _LONGEST_DELAY_S
        self._forget_before(since_s)
        if not self._played:
            return False
        microphone = microphone_16k[-round(WINDOW_S * INPUT_RATE_HZ) :]
        heard = _brightened(soxr.resample(microphone, INPUT_RATE_HZ, _RATE_HZ, quality="LQ"))
        played = _brightened(self._loudspeaker(since_s, now_s))
        return played.size >= heard.size > 0 and _best_agreement(heard, played) >= _LEAST_CORRELATION

    def _forget_before(self, since_s: float) -> None:
        while self._played and self._played[0].ends_at_s <= since_s:
            self._played.popleft()

    def _loudspeaker(self, since_s: float, until_s: float) -> FloatArray:
        """What it played then."""
        sound = np.zeros(round((until_s - since_s) * _RATE_HZ), np.float32)
        for piece in self._played:
            start = round((piece.begins_at_s - since_s) * _RATE_HZ)
            inside = piece.samples[max(0, -start) : max(0, sound.size - start)]
            sound[max(0, start) :][: inside.size] = inside
        return sound


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
