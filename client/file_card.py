"""A sound card made of files: its microphone hears a recording, and what its loudspeaker plays is kept."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np

from client.audio import FloatArray
from client.sound_card import BLOCK_S, Give, Hear


class FileCard:
    """Runs in the event loop's time, a block every 20 ms. After the recording its microphone hears silence.

    Args:
        recording: float32 mono, shape (n,), at `rate_hz`.
    """

    def __init__(self, recording: FloatArray, rate_hz: int) -> None:
        self.microphone_hz = self.loudspeaker_hz = rate_hz
        self._recording = recording
        self._played: list[FloatArray] = []

    def played(self) -> FloatArray:
        """What the loudspeaker gave out, from its first sound to its last: shape (n,)."""
        samples = np.concatenate([np.zeros(0, dtype=np.float32), *self._played])
        sounding = np.flatnonzero(samples)
        return samples[sounding[0] : sounding[-1] + 1] if sounding.size else samples[:0]

    @contextmanager
    def open(self, hear: Hear, give: Give, lost: Callable[[str], None]) -> Iterator[None]:
        """As `SoundCard.open` says; files do not stop by themselves."""
        running = asyncio.create_task(self._run(hear, give), name="files for a sound card")
        try:
            yield
        finally:
            running.cancel()

    async def _run(self, hear: Hear, give: Give) -> None:
        loop = asyncio.get_running_loop()
        size = round(self.microphone_hz * BLOCK_S)
        began_s = loop.time()
        at = 0
        while True:
            at += size
            await asyncio.sleep(max(0.0, began_s + at / self.microphone_hz - loop.time()))
            recorded = self._recording[at - size : at]
            hear(np.pad(recorded, (0, size - recorded.size)), False)
            self._played.append(give(size, 0.0, False))
