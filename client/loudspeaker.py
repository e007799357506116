"""From the event loop to the sound card's thread: replies without gaps, silenced at once, guarded on their way out."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import soxr

from client.audio import FloatArray, from_pcm16, rms
from client.clip_guard import ClipGuard


@dataclass(frozen=True, slots=True)
class Began:
    """The first sound of a reply leaves the machine at `at_s`, on the event loop's clock."""

    at_s: float


@dataclass(frozen=True, slots=True)
class RanDry:
    """There is nothing more to play now."""


Note: TypeAlias = Began | RanDry


@dataclass(frozen=True, slots=True)
class Cut:
    """A reply that was not played to its end: how much of it was."""

    item: str
    heard_ms: int


@dataclass(slots=True, eq=False)
class _Reply:
    item: str
    resampler: soxr.ResampleStream | None
    played: int = 0
    """Samples of the card's rate."""
    ended: bool = False
    silenced: bool = False


class Loudspeaker:
    """Made in the event loop.

    Args:
        card_hz: the rate that the sound card plays at.
        rate_hz: the rate of the replies.
        note: told, in the event loop, what is heard.

    Attributes:
        level: the root mean square of what was played last, in [0, 1].
        gaps: how often a reply stood still because its audio came too late.
        underruns: how often the sound card had to do without.
    """

    def __init__(self, card_hz: int, rate_hz: int, note: Callable[[Note], None]) -> None:
        self.level = 0.0
        self.gaps = 0
        self.underruns = 0
        self._card_hz = card_hz
        self._rate_hz = rate_hz
        self._note = note
        self._loop = asyncio.get_running_loop()
        self._lock = threading.Lock()
        self._guard = ClipGuard()
        self._queue: deque[tuple[_Reply, FloatArray]] = deque()
        self._reply: _Reply | None = None
        """The one whose audio came last."""
        self._sounding = False
        self._playing: _Reply | None = None
        """The one that was heard last."""

    @property
    def busy(self) -> bool:
        """Something is being played, or waits to be."""
        return self._sounding or bool(self._queue)

    def play(self, item: str, pcm16: bytes) -> None:
        """Append to a reply: PCM16 mono. Half a sample is dropped, and what belongs to a reply that was silenced."""
        reply = self._reply
        if reply is None or reply.ended or reply.item != item:
            self.end()
            same = self._card_hz == self._rate_hz
            resampler = None if same else soxr.ResampleStream(self._rate_hz, self._card_hz, 1, dtype="float32")
            self._reply = reply = _Reply(item, resampler)
        samples = from_pcm16(pcm16)
        self._append(reply, reply.resampler.resample_chunk(samples) if reply.resampler else samples)

    def end(self) -> None:
        """No more comes of the reply that is being appended to."""
        reply = self._reply
        if reply is not None and not reply.ended:
            reply.ended = True
            if reply.resampler:
                self._append(reply, reply.resampler.resample_chunk(np.zeros(0, dtype=np.float32), last=True))

    def flush(self) -> list[Cut]:
        """Be silent at once, and stay so until another reply; what was cut, and how much of it had been heard."""
        with self._lock:
            replies = dict.fromkeys(reply for reply, _ in self._queue)
            if self._reply is not None and not self._reply.ended and not self._reply.silenced:
                replies[self._reply] = None
            self._queue.clear()
            for reply in replies:
                reply.silenced = True
            return [Cut(reply.item, reply.played * 1_000 // self._card_hz) for reply in replies]

    def give(self, count: int, delay_s: float, underflowed: bool) -> FloatArray:
        """The next samples for the card, shape (count,), which sound after `delay_s`; from any thread."""
        with self._lock:
            self.underruns += underflowed
            pieces = []
            given = 0
            while given < count:
                piece = self._next(count - given, delay_s + given / self._card_hz)
                pieces.append(piece)
                given += piece.size
            samples = np.concatenate(pieces)
            self.level = rms(samples)
            return samples

    def _next(self, count: int, delay_s: float) -> FloatArray:
        if not self._queue:
            if self._sounding:
                self._sounding = False
                self._guard.join()
                self._tell(RanDry())
            return self._guard.push(np.zeros(count, dtype=np.float32))
        reply, samples = self._queue.popleft()
        if samples.size > count:
            self._queue.appendleft((reply, samples[count:]))
            samples = samples[:count]
        if not self._sounding or reply is not self._playing:
            self._guard.join()
            if reply is not self._playing:
                self._tell(Began(self._loop.time() + delay_s))
            else:
                self.gaps += 1
            self._sounding, self._playing = True, reply
        reply.played += samples.size
        return self._guard.push(samples)

    def _append(self, reply: _Reply, samples: FloatArray) -> None:
        # What takes long was done before: the card's thread must not wait for it.
        with self._lock:
            if samples.size and not reply.silenced:
                self._queue.append((reply, samples))

    def _tell(self, note: Note) -> None:
        self._loop.call_soon_threadsafe(self._note, note)
