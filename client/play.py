"""Playing a recording into a conversation as a sound card would, on time: the sender of the harness.

Frames of 20 ms leave on absolute deadlines, each when its last sample would have been recorded, so that nothing drifts.
After the recording the microphone stays open and sends silence until the reply has ended.
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

    All times given to the callbacks are seconds since the start, the instant at which the first sample would have been
    recorded. A failure, of the connection too, is the last event.

    Args:
        session: an open conversation.
        pcm16: mono samples at `rate_hz`; the last frame is filled up with silence.
        rate_hz: a multiple of 50, so that a frame is whole.
        on_event: told what came back, and when.
        on_frame: told how late each frame left. Where the server took longer than a frame to accept one, those that
            fell due meanwhile count from when it had: that delay is the server's, and shows in what is measured of it.
        speech_end_s: where the speech in the recording ends; its end where that is not known. A reply that began
            before it may not be the last one, so another is listened for.
        clock: the loop's time if None.
        limit_s: how long to wait for a reply to begin, and for more of one that has begun.
    """
    clock = clock or LoopClock()
    frame_bytes = 2 * rate_hz * FRAME_MS // 1000
    sent_s = len(pcm16) / (2 * rate_hz)
    exchange = Exchange(sent_s, sent_s if speech_end_s is None else speech_end_s, limit_s)
    start_s = clock.now()

    def note(event: ServerEvent) -> None:
        at_s = clock.now() - start_s
        exchange.note(at_s, event)
        on_event(at_s, event)

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
            if exchange.is_over(now_s):
                if exchange.reply_under_way:
                    note(Failed(f"the reply fell silent for {limit_s:.0f} s without ending"))
                break
            on_frame(now_s - max(due_s, blocked_until_s))
            samples = pcm16[frame * frame_bytes : (frame + 1) * frame_bytes]
            async with asyncio.timeout(limit_s):
                await session.send(samples.ljust(frame_bytes, b"\0"))
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
