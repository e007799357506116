"""Sound files and loudspeakers at the client's end."""

from __future__ import annotations

from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import soundfile
import soxr

FloatArray: TypeAlias = npt.NDArray[np.float32]

LARGEST_JUMP = 1.0
"""Between neighbours: half of what a sample can span. Speech stays far below it, a wrapped sample far above."""


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


def safe_samples(pcm16: bytes) -> FloatArray:
    """Received bytes as what a loudspeaker may get: float32, shape (n,), inside [-1, 1], without full-scale jumps.

    Half a sample at the end is dropped. A wrapped sample (+full scale written as -full scale) is reached by steps of at
    most `LARGEST_JUMP`, which turns a crack into a tick.
    """
    samples = np.frombuffer(pcm16[: len(pcm16) // 2 * 2], dtype="<i2").astype(np.float32) / np.float32(32_768)
    return limit_jumps(samples)


def limit_jumps(samples: FloatArray) -> FloatArray:
    """`samples`, shape (n,), made finite and inside [-1, 1], with neighbours at most `LARGEST_JUMP` apart.

    The first is measured from silence. What already is like that comes back unchanged.
    """
    limited = np.clip(np.nan_to_num(samples, nan=0.0, posinf=1.0, neginf=-1.0), -1.0, 1.0).astype(np.float32)
    for index in np.flatnonzero(np.abs(np.diff(limited, prepend=np.float32(0.0))) > LARGEST_JUMP):
        position, before = int(index), limited[index - 1] if index else np.float32(0.0)
        while position < len(limited) and abs(limited[position] - before) > LARGEST_JUMP:
            before = before + np.float32(np.copysign(LARGEST_JUMP, limited[position] - before))
            limited[position] = before
            position += 1
    return limited


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
