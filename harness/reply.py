"""The audio of a reply as one stream of samples that remembers which chunk brought each of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
import numpy.typing as npt

from harness.recording import Chunk, Recording

FULL_SCALE = 32_768.0


@dataclass(frozen=True, slots=True)
class Reply:
    """What arrived, in order.

    Attributes:
        samples: int16, shape (samples,); of several channels the first.
        rate_hz: of `samples`.
        ends: int64, shape (chunks,): how many samples were complete when the chunk had arrived.
        arrivals_s: float64, shape (chunks,): when each chunk arrived, seconds since the stream's start.
        first_chunk: the place of its first chunk among those of the recording.
        broken_off: it was not said in full: the server cancelled it, or never told that it was over.
    """

    samples: npt.NDArray[np.int16]
    rate_hz: int
    ends: npt.NDArray[np.int64]
    arrivals_s: npt.NDArray[np.float64]
    first_chunk: int = 0
    broken_off: bool = False

    @classmethod
    def of(cls, recording: Recording) -> Reply:
        """All of a recording as one. A sample split between two chunks came with the second; half a sample at the end
        is dropped.
        """
        return cls._join(recording, recording.chunks, 0, broken_off=False)

    @classmethod
    def each(cls, recording: Recording) -> list[Reply]:
        """Each reply of a recording by itself: what a client plays as one stream."""
        found: list[Reply] = []
        place = 0
        for number, group in groupby(recording.chunks, key=lambda chunk: chunk.reply):
            chunks = list(group)
            told = recording.ended_s is not None and chunks[-1].at_s <= recording.ended_s
            found.append(cls._join(recording, chunks, place, broken_off=number in recording.cancelled or not told))
            place += len(chunks)
        return found

    @classmethod
    def _join(cls, recording: Recording, chunks: Sequence[Chunk], first_chunk: int, *, broken_off: bool) -> Reply:
        pcm = b"".join(chunk.pcm for chunk in chunks)
        frame_bytes = 2 * recording.channels
        samples = np.frombuffer(pcm[: len(pcm) - len(pcm) % frame_bytes], dtype="<i2")[:: recording.channels]
        ends = np.cumsum([len(chunk.pcm) for chunk in chunks], dtype=np.int64) // frame_bytes
        arrivals_s = np.array([chunk.at_s for chunk in chunks], dtype=np.float64)
        return cls(samples.astype(np.int16), recording.rate_hz, ends, arrivals_s, first_chunk, broken_off)

    @property
    def starts(self) -> npt.NDArray[np.int64]:
        """Index of each chunk's first sample, shape (chunks,)."""
        return np.concatenate(([0], self.ends[:-1])) if self.ends.size else self.ends

    @property
    def floats(self) -> npt.NDArray[np.float64]:
        """`samples` in [-1, 1), exactly."""
        return self.samples / FULL_SCALE

    def chunk_of(self, sample: int) -> int:
        """Which chunk brought this sample."""
        return int(np.searchsorted(self.ends, sample, side="right"))
