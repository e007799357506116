"""Audio inside a page: both sides of a turn mixed on one time axis and compressed, and the outlines of their waves.

MP3, because every browser plays it and its encoder writes the same bytes each time, as that of Ogg (Opus, Vorbis) does
not; at a constant rate, because a browser then finds any moment of it exactly.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import soundfile
import soxr

from client.audio import FloatArray
from client.clip_guard import ClipGuard

RATE_HZ = 24_000
"""At which sounds are mixed and outlined."""
KILOBITS = (64, 48, 40, 32, 24, 16)
"""A second; which of them depends on how much there is to embed."""
NARROW_KILOBITS = 24
"""At so few or fewer, 16 kHz sound better than 24."""
EMBEDDED_BYTES = 6_500_000
"""Of all the audio of a page, so that a page of a hundred turns stays below 10 MB."""
GUARDED_SAMPLES = RATE_HZ // 10
COLUMNS = 600
"""Of an outline, over the whole axis."""
HEIGHT = 100

TELLING_KILOBITS = 64
DELAY_SAMPLES = 1_105
"""What coding adds before the first sample. A player leaves it out where the file has room to tell it: from 64 on."""

_MOST_KILOBITS, _FEWEST_KILOBITS = 160, 8
"""What libsndfile's scale of compression, from 0 to 1, stretches over at these sample rates."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Sound at its place on the time axis: float32 mono at `RATE_HZ`, which begins at `start_s`."""

    start_s: float
    samples: FloatArray

    @property
    def end_s(self) -> float:
        return self.start_s + self.samples.size / RATE_HZ


def affordable(seconds: float) -> int | None:
    """At how many kilobits a second so much sound fits into a page; None if at none."""
    return next((rate for rate in KILOBITS if seconds * rate * 1_000 / 8 * 4 / 3 <= EMBEDDED_BYTES), None)


def mix(question: Sequence[Piece], reply: Sequence[Piece]) -> FloatArray:
    """Both sides as one sound from 0 on, float32 mono at `RATE_HZ`.

    It is to be listened to, so the reply goes through the clip guard, unlike the files that are measured.
    """
    end_s = max((piece.end_s for piece in (*question, *reply)), default=0.0)
    sides = [np.zeros(round(end_s * RATE_HZ) + 1, dtype=np.float32) for _ in range(2)]
    for side, pieces in zip(sides, (question, reply), strict=True):
        for piece in pieces:
            start = max(0, round(piece.start_s * RATE_HZ))
            side[start : start + piece.samples.size] = piece.samples[: side.size - start]
    guard = ClipGuard()  # in pieces, because one that needs it takes the guard a hundred times as long
    guarded = [guard.push(sides[1][at : at + GUARDED_SAMPLES]) for at in range(0, sides[1].size, GUARDED_SAMPLES)]
    mixed: FloatArray = np.clip(sides[0] + np.concatenate(guarded), -1.0, 1.0)
    return mixed


def encode(samples: FloatArray, kilobits: int) -> str:
    """Sound at `RATE_HZ` as the data URI of an MP3, every moment of it where it was.

    At the lower rates its first 69 ms at most are lost, which is less than a clip is silent before its speech.
    """
    rate_hz = RATE_HZ
    if kilobits <= NARROW_KILOBITS:
        rate_hz = 16_000
        samples = np.clip(soxr.resample(samples, RATE_HZ, rate_hz, quality="HQ"), -1.0, 1.0)
    if kilobits < TELLING_KILOBITS:
        samples = samples[DELAY_SAMPLES:]
    compression = (_MOST_KILOBITS - kilobits) / (_MOST_KILOBITS - _FEWEST_KILOBITS)
    coded = io.BytesIO()
    with soundfile.SoundFile(
        coded, "w", rate_hz, 1, "MPEG_LAYER_III", format="MP3", compression_level=compression, bitrate_mode="CONSTANT"
    ) as file:
        file.write(samples)
    return f"data:audio/mpeg;base64,{base64.b64encode(coded.getvalue()).decode('ascii')}"


def outline(pieces: Sequence[Piece], end_s: float) -> str:
    """Highest and lowest sample of each column, as an SVG path of closed shapes in a box of `COLUMNS` by `HEIGHT`.

    The box is the time from 0 to `end_s`; every piece is a shape of its own, so that a gap is seen.
    """
    return "".join(_shape(piece, end_s) for piece in pieces if piece.samples.size)


def _shape(piece: Piece, end_s: float) -> str:
    scale = COLUMNS / end_s
    first, last = int(piece.start_s * scale), int(piece.end_s * scale)
    edges = (np.arange(first, last + 1) / scale - piece.start_s) * RATE_HZ
    starts = np.unique(np.clip(np.rint(edges), 0, piece.samples.size - 1).astype(np.int64))
    highs = _heights(np.maximum.reduceat(piece.samples, starts))
    lows = _heights(np.minimum.reduceat(piece.samples, starts))
    forth = [f"{first + index},{high}" for index, high in enumerate(highs)]
    back = [f"{first + index},{low}" for index, low in reversed(list(enumerate(lows)))]
    return f"M{' '.join(forth)} {' '.join(back)}Z"


def _heights(samples: npt.NDArray[np.float32]) -> list[int]:
    return [int(height) for height in np.rint(HEIGHT / 2 * (1 - samples))]
