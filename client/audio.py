"""Sound files at the client's end."""

from __future__ import annotations

from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import soundfile
import soxr

FloatArray: TypeAlias = npt.NDArray[np.float32]


class SoundFileError(ValueError):
    """A file that cannot be read as sound."""


def read_pcm16(path: Path, rate_hz: int) -> bytes:
    """A sound file of any rate and channel count as PCM16 mono at `rate_hz`.

    Raises:
        SoundFileError: not there, not sound, or empty.
    """
    try:
        samples, file_rate_hz = soundfile.read(path, dtype="float32", always_2d=True)
    except (OSError, soundfile.LibsndfileError) as error:
        raise SoundFileError(f"{path} cannot be read as sound ({error}); give a WAV, FLAC or Ogg file") from error
    if not len(samples):
        raise SoundFileError(f"{path} holds no sound; give a recording of some speech")
    mono = soxr.resample(samples.mean(axis=1), file_rate_hz, rate_hz)
    return to_pcm16(mono)


def save_wav(path: Path, samples: FloatArray, rate_hz: int) -> None:
    """Write mono samples as a 16-bit WAV file.

    Raises:
        OSError: it cannot be written.
    """
    with path.open("wb") as file:
        soundfile.write(file, samples, rate_hz, subtype="PCM_16", format="WAV")


def to_pcm16(samples: FloatArray) -> bytes:
    """Float mono samples, shape (n,), as PCM16 bytes, saturating: +1.0 and beyond become 32767."""
    pcm16: bytes = np.clip(np.rint(samples * 32_768.0), -32_768, 32_767).astype("<i2").tobytes()
    return pcm16


def from_pcm16(pcm16: bytes) -> FloatArray:
    """PCM16 bytes as float mono samples, shape (n,), in [-1, 1). Half a sample at the end is dropped."""
    whole = pcm16[: len(pcm16) // 2 * 2]  # half a sample would shift all that follows into noise
    return np.frombuffer(whole, dtype="<i2").astype(np.float32) / np.float32(32_768)


def rms(samples: FloatArray) -> float:
    """The root mean square of shape (n,); 0 for no samples."""
    return float(np.sqrt(np.mean(np.square(samples, dtype=np.float64)))) if samples.size else 0.0
