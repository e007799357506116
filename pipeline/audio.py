"""Sample formats and streaming resampling.

Inside the pipeline audio is float32 mono in [-1, 1]; PCM16 exists only at the edges, and the conversions here are the
only way across. Callers' audio runs at 16 kHz (what every model of the cascade hears), replies at 24 kHz (what the
synthesisers speak and what the Realtime protocol sends).
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

FloatArray: TypeAlias = npt.NDArray[np.float32]

INPUT_RATE_HZ = 16_000
OUTPUT_RATE_HZ = 24_000

_FULL_SCALE = 32_768.0

_LOOK_AHEAD = 32
"""Of a filter, in samples of the lower rate: 2 ms at 16 kHz, 4 ms at 8 kHz."""
_REJECTION_DB = 70.0
_KAISER_BETA = 0.1102 * (_REJECTION_DB - 8.7)
_TRANSITION = (_REJECTION_DB - 7.95) / (2.285 * 2 * math.pi * 2 * _LOOK_AHEAD)
"""As a share of the lower rate, the band in which such a filter goes from all to nothing (by Kaiser's formula,
as is `_KAISER_BETA`: Oppenheim and Schafer, Discrete-Time Signal Processing, 7.5.3)."""


class AudioFormatError(ValueError):
    """Bytes that are not the audio they are said to be."""


def pcm16_to_float(pcm: bytes) -> FloatArray:
    """Signed 16-bit little-endian mono PCM to float32, shape (samples,), in [-1, 1).

    Raises:
        AudioFormatError: an odd number of bytes.
    """
    if len(pcm) % 2:
        raise AudioFormatError(
            f"{len(pcm)} bytes of PCM16: an odd count, but every sample takes two; send whole samples"
        )
    return np.frombuffer(pcm, dtype="<i2") * np.float32(1 / _FULL_SCALE)


def float_to_pcm16(samples: FloatArray) -> bytes:
    """Float samples to signed 16-bit little-endian PCM, saturating: +1.0 becomes 32767, never a wrapped -32768.

    NaN, which no model should produce and no loudspeaker should get, becomes silence.
    """
    within = np.clip(np.nan_to_num(np.asarray(samples, dtype=np.float32), nan=0.0), -1.0, 1.0)
    pcm: bytes = np.minimum(np.rint(within * _FULL_SCALE), 32_767).astype("<i2").tobytes()
    return pcm


def level_dbfs(samples: FloatArray) -> float:
    """The root mean square, in dB relative to full scale; at least -120."""
    return 10 * math.log10(float(samples.dot(samples)) / samples.size + 1e-12)


class StreamResampler:
    """Converts a mono stream from one rate to another without seams between the pieces.

    A polyphase filter with a linear phase (Crochiere and Rabiner, Multirate Digital Signal Processing, 3.3). It holds
    back the 2 or 4 ms that it looks ahead; block converters hold back 10 to 100 ms, for which a caller would wait.
    """

    def __init__(self, from_hz: int, to_hz: int) -> None:
        common = math.gcd(from_hz, to_hz)
        self._up, self._down = to_hz // common, from_hz // common
        self._matrix = _polyphase(from_hz, self._up, self._down)
        self._window = len(self._matrix)
        # Before the first sample there was silence.
        self._held = np.zeros((self._window - self._down) // 2, dtype=np.float32)
        self._taken = 0
        self._given = 0

    def push(self, samples: FloatArray, *, last: bool = False) -> FloatArray:
        """Feed shape (n,), get what is ready, shape (m,). `last` flushes the filter's tail and ends the stream."""
        if self._up == self._down:
            return samples
        self._taken += samples.size
        after = np.zeros(self._window if last else 0, dtype=np.float32)
        self._held = np.concatenate([self._held, samples, after])
        if self._held.size < self._window:
            return np.zeros(0, dtype=np.float32)
        blocks = _windows(self._held, self._window, self._down)
        ready: FloatArray = blocks.dot(self._matrix).reshape(-1)
        self._held = self._held[len(blocks) * self._down :]
        if last:
            ready = ready[: math.ceil(self._taken * self._up / self._down) - self._given]
        self._given += ready.size
        return ready


def _windows(samples: FloatArray, length: int, step: int) -> FloatArray:
    """All that are whole, shape (windows, length), on the memory of `samples`, which has to be contiguous.

    A server does this for every frame of every caller: `sliding_window_view` takes 80 us of it, this 2.
    """
    count = (samples.size - length) // step + 1
    return np.ndarray((count, length), np.float32, samples, strides=(step * samples.itemsize, samples.itemsize))


@lru_cache
def _polyphase(from_hz: int, up: int, down: int) -> FloatArray:
    """What turns `down` samples, with their neighbours on both sides, into `up`: shape (samples, up)."""
    filter_hz = from_hz * up
    lower_hz = min(from_hz, filter_hz // down)
    look_ahead = math.ceil(_LOOK_AHEAD * from_hz / lower_hz)
    half = look_ahead * up
    edge_hz = lower_hz * (1 - _TRANSITION) / 2
    # scipy.signal has this too, and takes half a second to import, in which a server would serve nobody.
    taps = np.sinc(2 * edge_hz / filter_hz * np.arange(-half, half + 1)) * np.kaiser(2 * half + 1, _KAISER_BETA)
    taps *= up / taps.sum()
    matrix = np.zeros((down + 2 * look_ahead, up), dtype=np.float32)
    for phase in range(up):
        at = half + phase * down - up * (np.arange(len(matrix)) - look_ahead)
        inside = (at >= 0) & (at < taps.size)
        matrix[inside, phase] = taps[at[inside]]
    return matrix
