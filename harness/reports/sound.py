"""Audio inside a page: compressed, as a data URI, with its outline."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile
import soxr

from client.clip_guard import ClipGuard

COLUMNS = 300
"""Of an outline, whatever the length."""
COMPRESSION = 0.6
"""libsndfile's scale from 0 to 1; at 16 kHz about 4 kB a second."""


@dataclass(frozen=True, slots=True)
class Sound:
    """A player's worth: `outline` is an SVG path in a box of `COLUMNS` by 2."""

    uri: str
    seconds: float
    outline: str


def embed(folder: Path, relative: str | None, rate_hz: int) -> Sound | None:
    """The audio at a path of the run's folder, as MP3 at `rate_hz`; None where it is not there or holds nothing.

    What is embedded is to be listened to, so it goes through the clip guard, unlike the files that are measured.
    MP3, because every browser plays it and its encoder writes the same bytes each time, as Ogg's does not. A path that
    leads out of the folder is not followed.
    """
    if relative is None:
        return None
    path = (folder / relative).resolve()
    if not path.is_relative_to(folder.resolve()) or not path.is_file():
        return None
    try:
        read, from_hz = soundfile.read(path, dtype="float32", always_2d=True)
    except soundfile.LibsndfileError:
        return None
    if not read.size:
        return None
    samples = soxr.resample(ClipGuard().push(read.mean(axis=1)), from_hz, rate_hz, quality="HQ")
    coded = io.BytesIO()
    with soundfile.SoundFile(
        coded, "w", rate_hz, 1, "MPEG_LAYER_III", format="MP3", compression_level=COMPRESSION, bitrate_mode="VARIABLE"
    ) as file:
        file.write(np.clip(samples, -1.0, 1.0))
    uri = f"data:audio/mpeg;base64,{base64.b64encode(coded.getvalue()).decode('ascii')}"
    return Sound(uri, len(read) / from_hz, _outline(samples))


def _outline(samples: npt.NDArray[np.float32]) -> str:
    """Highest and lowest sample of each column, as one closed shape about the middle line at 1."""
    columns = np.array_split(samples, min(COLUMNS, samples.size))
    highs = [f"{index},{1 - float(column.max()):.2f}" for index, column in enumerate(columns)]
    lows = [f"{index},{1 - float(column.min()):.2f}" for index, column in enumerate(columns)]
    return f"M{' '.join(highs)} {' '.join(reversed(lows))}Z"
