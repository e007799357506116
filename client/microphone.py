"""From the sound card's thread to the event loop: frames of 20 ms, as a server is sent them."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator

import soxr

from client.audio import FloatArray, rms, to_pcm16

FRAME_S = 0.02
WAITING_FRAMES = 50
"""A second. A network that takes no more loses the oldest: what is said now is worth more."""


class Microphone:
    """Made in the event loop.

    Args:
        card_hz: the rate of what the sound card records.
        rate_hz: the rate of what is sent; a multiple of 50.

    Attributes:
        level: the root mean square of what was recorded last, in [0, 1].
        overruns: how often something was lost, by the sound card or because it could not be sent in time.
    """

    def __init__(self, card_hz: int, rate_hz: int) -> None:
        self.level = 0.0
        self.overruns = 0
        self._loop = asyncio.get_running_loop()
        self._resampler = None if card_hz == rate_hz else soxr.ResampleStream(card_hz, rate_hz, 1, dtype="float32")
        self._frame_bytes = 2 * round(rate_hz * FRAME_S)
        self._recorded = bytearray()
        self._frames: deque[bytes] = deque()
        self._more = asyncio.Event()

    def hear(self, samples: FloatArray, lost: bool) -> None:
        """Take what the card recorded, shape (n,); from any thread."""
        self._loop.call_soon_threadsafe(self._take, samples, lost)

    async def frames(self) -> AsyncIterator[bytes]:
        """PCM16 mono, 20 ms each, as it is recorded; without end."""
        while True:
            while self._frames:
                yield self._frames.popleft()
            self._more.clear()
            await self._more.wait()

    def _take(self, samples: FloatArray, lost: bool) -> None:
        self.level = rms(samples)
        self.overruns += lost
        self._recorded += to_pcm16(self._resampler.resample_chunk(samples) if self._resampler else samples)
        while len(self._recorded) >= self._frame_bytes:
            self._frames.append(bytes(self._recorded[: self._frame_bytes]))
            del self._recorded[: self._frame_bytes]
        while len(self._frames) > WAITING_FRAMES:
            self._frames.popleft()
            self.overruns += 1
        self._more.set()
