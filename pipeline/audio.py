"""Sample formats and streaming resampling.

Inside the pipeline audio is float32 mono in [-1, 1]; PCM16 exists only at the edges, and the conversions here are the
only way across. Callers' audio runs at 16 kHz (what every model of the cascade hears), replies at 24 kHz (what the
synthesisers speak and what the Realtime protocol sends).
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import soxr

FloatArray: TypeAlias = npt.NDArray[np.float32]

INPUT_RATE_HZ = 16_000
OUTPUT_RATE_HZ = 24_000

_FULL_SCALE = 32_768.0


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
    return np.frombuffer(pcm, dtype="<i2").astype(np.float32) / np.float32(_FULL_SCALE)


def float_to_pcm16(samples: FloatArray) -> bytes:
    """Float samples to signed 16-bit little-endian PCM, saturating: +1.0 becomes 32767, never a wrapped -32768.

    NaN, which no model should produce and no loudspeaker should get, becomes silence.
    """
    within = np.clip(np.nan_to_num(np.asarray(samples, dtype=np.float32), nan=0.0), -1.0, 1.0)
    pcm: bytes = np.minimum(np.rint(within * _FULL_SCALE), 32_767).astype("<i2").tobytes()
    return pcm


def level_dbfs(samples: FloatArray) -> float:
    """The root mean square, in dB relative to full scale; at least -120."""
    return float(10 * np.log10(np.mean(np.square(samples, dtype=np.float64)) + 1e-12))


class StreamResampler:
    """Converts a mono stream from one rate to another without seams between the pieces."""

    def __init__(self, from_hz: int, to_hz: int) -> None:
        self._stream = (
            None if from_hz == to_hz else soxr.ResampleStream(from_hz, to_hz, 1, dtype="float32", quality="HQ")
        )

    def push(self, samples: FloatArray, *, last: bool = False) -> FloatArray:
        """Feed shape (n,), get what is ready, shape (m,). `last` flushes the filter's tail and ends the stream."""
        if self._stream is None:
            return samples
        converted: FloatArray = self._stream.resample_chunk(np.ascontiguousarray(samples, dtype=np.float32), last=last)
        return converted
