"""Speaking into a conversation as a sound card would, on time: the sender of the harness.

Frames of 20 ms leave on absolute deadlines, each when its last sample would have been recorded, so that nothing drifts.
After all that is said the microphone stays open and sends silence until the reply has ended.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable
from typing import Protocol

from client.connection import DisconnectedError
from client.events import Failed, Heard, ReplyAudio, ReplyEnded, ServerEvent, SpeechStarted, SpeechStopped, Spoken

FRAME_MS = 20
FRAME_S = FRAME_MS / 1000
LIMIT_S = 10.0
SETTLE_S = 3.0
"""How long another reply is listened for after one that was cancelled, or began before the speech was over."""


class Clock(Protocol):
    """Where time comes from; the tests have their own."""

    def now(self) -> float:
        """Seconds, from any origin, never backwards."""
        ...

    async def sleep_until(self, at_s: float) -> None:
        """Return at `at_s` or as soon after it as can be, having let other tasks run."""
        ...


class LoopClock:
    """The running event loop's own time."""

    def now(self) -> float:
        return asyncio.get_running_loop().time()

    async def sleep_until(self, at_s: float) -> None:
        await asyncio.sleep(max(0.0, at_s - self.now()))


class Session(Protocol):
    """A conversation under way, over whichever protocol."""

    async def send(self, pcm16: bytes) -> None:
        """Send one frame of the microphone: PCM16 mono.

        Raises:
            DisconnectedError: the conversation is over; `events` says why.
        """
        ...

    def events(self) -> AsyncIterator[ServerEvent]:
        """What comes back, as it arrives; ends when the server closes."""
        ...


class Speaker(Protocol):
    """Whoever holds the microphone. All times are seconds since the start of the conversation."""

    @property
    def reply_under_way(self) -> bool:
        """A reply has begun and not ended."""
        ...

    def frame(self, number: int) -> bytes:
        """What the microphone records from `number` frames after the start on: PCM16 mono, a frame of it at most."""
        ...

    def note(self, at_s: float, event: ServerEvent) -> None:
        """Be told what came back."""
        ...

    def is_over(self, now_s: float) -> bool:
        """Nothing more is to be said or waited for."""
        ...


async def play(
    session: Session,
    pcm16: bytes,
    *,
    rate_hz: int,
    on_event: Callable[[float, ServerEvent], None],
    on_frame: Callable[[float], None] = lambda _late_s: None,
    speech_end_s: float | None = None,
    clock: Clock | None = None,
    limit_s: float = LIMIT_S,
) -> None:
    """Send `pcm16`, then silence, until the reply has ended, something failed, or nothing has come for `limit_s`.

    Args: as of `speak`, and
        pcm16: mono samples at `rate_hz`; the last frame is filled up with silence.
        on_event: told what came back, and when.
        speech_end_s: where the speech in the recording ends; its end where that is not known. A reply that began
            before it may not be the last one, so another is listened for.
    """
    sent_s = len(pcm16) / (2 * rate_hz)
    exchange = Exchange(sent_s, sent_s if speech_end_s is None else speech_end_s, limit_s)
    recording = _Recording(pcm16, 2 * rate_hz * FRAME_MS // 1000, exchange, on_event)
    await speak(session, recording, rate_hz=rate_hz, on_frame=on_frame, clock=clock, limit_s=limit_s)


async def speak(
    session: Session,
    speaker: Speaker,
    *,
    rate_hz: int,
    on_frame: Callable[[float], None] = lambda _late_s: None,
    clock: Clock | None = None,
    limit_s: float = LIMIT_S,
) -> None:
    """Send what `speaker` says, and silence otherwise, until they have done or something failed.

    All times given to the speaker are seconds since the start, the instant at which the first sample would have been
    recorded. A failure, of the connection too, is the last event that they are told.

    Args:
        session: an open conversation.
        speaker: says what the microphone records, frame by frame, and hears what comes back.
        rate_hz: a multiple of 50, so that a frame is whole.
        on_frame: told how late each frame left. Where the server took longer than a frame to accept one, those that
            fell due meanwhile count from when it had: that delay is the server's, and shows in what is measured of it.
        clock: the loop's time if None.
        limit_s: how long to wait for a reply to begin, and for more of one that has begun.
    """
    clock = clock or LoopClock()
    frame_bytes = 2 * rate_hz * FRAME_MS // 1000
    start_s = clock.now()

    def note(event: ServerEvent) -> None:
        speaker.note(clock.now() - start_s, event)

    async def listen() -> None:
        async for event in session.events():
            note(event)
            if isinstance(event, Failed):
                return
        note(Failed("the server closed the connection before its reply had ended"))

    listener = asyncio.create_task(listen(), name="listener")
    blocked_until_s = 0.0
    try:
        for frame in itertools.count():
            due_s = (frame + 1) * FRAME_S
            await clock.sleep_until(start_s + due_s)
            now_s = clock.now() - start_s
            if listener.done():
                break
            if speaker.is_over(now_s):
                if speaker.reply_under_way:
                    note(Failed(f"the reply fell silent for {limit_s:.0f} s without ending"))
                break
            on_frame(now_s - max(due_s, blocked_until_s))
            async with asyncio.timeout(limit_s):
                await session.send(speaker.frame(frame).ljust(frame_bytes, b"\0"))
            accepted_s = clock.now() - start_s
            if accepted_s - now_s > FRAME_S:
                blocked_until_s = accepted_s
    except TimeoutError:
        note(Failed(f"the server has read nothing for {limit_s:.0f} s"))
    except DisconnectedError:
        await listener
    finally:
        listener.cancel()
        await asyncio.wait([listener])
    if not listener.cancelled():
        listener.result()


class _Recording:
    """Plays one recording and nothing else."""

    def __init__(
        self, pcm16: bytes, frame_bytes: int, exchange: Exchange, on_event: Callable[[float, ServerEvent], None]
    ) -> None:
        self._pcm16 = pcm16
        self._frame_bytes = frame_bytes
        self._exchange = exchange
        self._on_event = on_event

    @property
    def reply_under_way(self) -> bool:
        return self._exchange.reply_under_way

    def frame(self, number: int) -> bytes:
        return self._pcm16[number * self._frame_bytes : (number + 1) * self._frame_bytes]

    def note(self, at_s: float, event: ServerEvent) -> None:
        self._exchange.note(at_s, event)
        self._on_event(at_s, event)

    def is_over(self, now_s: float) -> bool:
        return self._exchange.is_over(now_s)


class Exchange:
    """Whether there is still something to wait for, of the answer to a recording. Times are seconds since its begin.

    Args:
        sent_s: how long the recording is.
        speech_end_s: where the speech in it ends.
        limit_s: how long a reply may take to begin, and fall silent.
    """

    def __init__(self, sent_s: float, speech_end_s: float, limit_s: float) -> None:
        self._sent_s = sent_s
        self._speech_end_s = speech_end_s
        self._limit_s = limit_s
        self._quiet_since_s = speech_end_s
        self._began_s: float | None = None  # of the reply under way
        self._settled = False
        self._interrupted = False

    def note(self, at_s: float, event: ServerEvent) -> None:
        if isinstance(event, ReplyAudio | Spoken):
            self._began_s = at_s if self._began_s is None else self._began_s
            self._settled = self._interrupted = False
        elif isinstance(event, ReplyEnded):
            answered = self._began_s is not None and self._began_s >= self._speech_end_s and not event.cancelled
            self._settled = answered
            self._interrupted = not answered and at_s >= self._speech_end_s
            self._began_s = None
        if not isinstance(event, Heard | SpeechStarted | SpeechStopped):
            self._quiet_since_s = max(self._speech_end_s, at_s)

    @property
    def reply_under_way(self) -> bool:
        return self._began_s is not None

    def is_over(self, now_s: float) -> bool:
        if now_s < self._sent_s:
            return False
        patience_s = min(SETTLE_S, self._limit_s) if self._interrupted else self._limit_s
        return self._settled or now_s >= self._quiet_since_s + patience_s
