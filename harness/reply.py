"""The audio of a reply as one stream of samples that remembers which chunk brought each of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from harness.recording import Recording

FULL_SCALE = 32_768.0


@dataclass(frozen=True, slots=True)
class Reply:
    """What arrived, in order.

    Attributes:
        samples: int16, shape (samples,); of several channels the first.
        rate_hz: of `samples`.
        ends: int64, shape (chunks,): how many samples were complete when the chunk had arrived.
        arrivals_s: float64, shape (chunks,): when each chunk arrived, seconds since the stream's start.
    """

    samples: npt.NDArray[np.int16]
    rate_hz: int
    ends: npt.NDArray[np.int64]
    arrivals_s: npt.NDArray[np.float64]

    @classmethod
    def of(cls, recording: Recording) -> Reply:
        """Join the chunks. A sample split between two came with the second; half a sample at the end is dropped."""
        pcm = b"".join(chunk.pcm for chunk in recording.chunks)
        frame_bytes = 2 * recording.channels
        samples = np.frombuffer(pcm[: len(pcm) - len(pcm) % frame_bytes], dtype="<i2")[:: recording.channels]
        ends = np.cumsum([len(chunk.pcm) for chunk in recording.chunks], dtype=np.int64) // frame_bytes
        arrivals_s = np.array([chunk.at_s for chunk in recording.chunks], dtype=np.float64)
        return cls(samples.astype(np.int16), recording.rate_hz, ends, arrivals_s)

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

    def ms(self, sample: float) -> float:
        """A sample's place in the reply, in milliseconds, to the microsecond."""
        return round(1_000 * sample / self.rate_hz, 3)
