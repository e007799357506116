"""What a conversation holds of the caller's audio, and where on the sample clock that is."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from pipeline.audio import INPUT_RATE_HZ, FloatArray
from pipeline.vad import FRAME_SAMPLES


class SampleClock:
    """Seconds on the input's sample clock: how much audio has come in, and the time since the last of it."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._samples = 0
        self._fed_at = clock()

    def advance(self, samples: int) -> None:
        self._samples += samples
        self._fed_at = self._clock()

    def now_s(self) -> float:
        return self._samples / INPUT_RATE_HZ + (self._clock() - self._fed_at)


class AudioWindow:
    """The most recent audio, addressed by position on the sample clock; what is not needed any more is forgotten."""

    def __init__(self) -> None:
        self._pieces: list[FloatArray] = []
        self._first = 0
        self._end = 0

    @property
    def start_s(self) -> float:
        """Of the oldest sample still held."""
        return self._first / INPUT_RATE_HZ

    @property
    def end_s(self) -> float:
        return self._end / INPUT_RATE_HZ

    def append(self, samples_16k: FloatArray) -> None:
        self._pieces.append(samples_16k)
        self._end += samples_16k.size

    def since(self, start_s: float) -> FloatArray:
        """Everything from `start_s` on, or from the oldest sample still held: float32, shape (samples,), 16 kHz."""
        wanted = min(self._end - round(start_s * INPUT_RATE_HZ), self._end - self._first)
        # From the end, for most is asked of the last moment of a long turn.
        pieces: list[FloatArray] = []
        found = 0
        for piece in reversed(self._pieces):
            if found >= wanted:
                break
            pieces.append(piece)
            found += piece.size
        held = np.concatenate([np.zeros(0, dtype=np.float32), *reversed(pieces)])
        return held[max(0, found - wanted) :]

    def forget_before(self, start_s: float) -> None:
        """Drop whole pieces that end before `start_s`."""
        start = round(start_s * INPUT_RATE_HZ)
        drop = 0
        while drop < len(self._pieces) and self._first + self._pieces[drop].size <= start:
            self._first += self._pieces[drop].size
            drop += 1
        del self._pieces[:drop]


class CallerAudio:
    """The caller's audio as it comes in, and how much of it no turn has taken yet.

    Attributes:
        clock: of it, which goes on while nothing comes in.
        window: what is held of it.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self.clock = SampleClock(clock)
        self.window = AudioWindow()
        self._partial_frame: FloatArray = np.zeros(0, dtype=np.float32)
        self._committed_until_s = 0.0

    @property
    def uncommitted_from_s(self) -> float:
        return max(self._committed_until_s, self.window.start_s)

    @property
    def uncommitted_s(self) -> float:
        return self.window.end_s - self.uncommitted_from_s

    @property
    def committed_until_s(self) -> float:
        return self._committed_until_s

    def take(self, samples_16k: FloatArray) -> FloatArray:
        """Any length; returned are the frames that are whole now, float32, shape (frames, 512)."""
        self.clock.advance(samples_16k.size)
        self.window.append(samples_16k)
        frames = np.concatenate([self._partial_frame, samples_16k])
        whole = frames.size // FRAME_SAMPLES * FRAME_SAMPLES
        self._partial_frame = frames[whole:]
        return frames[:whole].reshape(-1, FRAME_SAMPLES)

    def commit(self) -> None:
        """All that has come in belongs to a turn now, or is not wanted."""
        self._committed_until_s = self.window.end_s
