"""One fixture played into one server: raw evidence out, nothing decided."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from client.audio import to_pcm16
from client.play import FRAME_MS, FRAME_S, LIMIT_S, Clock, play
from harness import fixtures
from harness.fixtures import NO_SPEECH, Fixture
from harness.recording import Chunk, Recording
from harness.targets.base import Failed, Heard, ReplyAudio, ReplyEnded, ServerEvent, Session, Spoken, Target

_JOINS_WORDS = ("zh", "ja")


async def replay(
    fixture: Fixture, target: Target, *, clock: Clock | None = None, limit_s: float = LIMIT_S
) -> Recording:
    """Play a fixture into a conversation of its own, in its own language, and record what comes back.

    Args:
        fixture: one whose file is here.
        target: the server under test.
        clock: the event loop's if None.
        limit_s: how long after the speech a reply may take to begin, and how long a reply may fall silent.

    Raises:
        UnavailableError: no conversation could be had. Whatever goes wrong later is in `Recording.error`.
    """
    samples = await asyncio.to_thread(fixtures.read, fixture, target.input_rate_hz)
    recording = unplayed(fixture, target)
    language = "auto" if fixture.language == NO_SPEECH else fixture.language
    async with target.connect(language) as session:
        with punctual():
            await record(
                to_pcm16(samples), session, recording, rate_hz=target.input_rate_hz, clock=clock, limit_s=limit_s
            )
    return recording


async def record(
    pcm16: bytes,
    session: Session,
    recording: Recording,
    *,
    rate_hz: int,
    clock: Clock | None = None,
    limit_s: float = LIMIT_S,
) -> None:
    """Play PCM16 mono at `rate_hz` into a conversation that is open, and write what comes back into `recording`."""
    await play(
        session,
        pcm16,
        rate_hz=rate_hz,
        on_event=_Recorder(recording).take,
        on_frame=recording.lateness_s.append,
        speech_end_s=recording.end_of_speech_s,
        clock=clock,
        limit_s=limit_s,
    )


def unplayed(fixture: Fixture, target: Target, error: str | None = None) -> Recording:
    """The recording of a fixture before anything of it was sent."""
    return Recording(
        fixture_id=fixture.id,
        language=fixture.language,
        target=target.name,
        frame_s=FRAME_S,
        end_of_speech_s=end_of_speech_s(fixture),
        rate_hz=target.output_rate_hz,
        error=error,
    )


def end_of_speech_s(fixture: Fixture) -> float:
    """Due time of the frame that holds the last sample of speech, in seconds since the first sample was recorded.

    A fixture without speech ends where its recording does.
    """
    speech_end = fixture.samples if fixture.speech_end is None else fixture.speech_end
    frame = (speech_end - 1) * 1000 // (fixture.rate_hz * FRAME_MS)
    return (frame + 1) * FRAME_S


@contextmanager
def punctual() -> Iterator[None]:
    """Have this thread scheduled in real time while clips are played, where the system allows that.

    A late sender measures nothing, and on a busy machine this is the difference between 27 ms (p99) and 1.
    """
    if sys.platform != "linux":
        yield
        return
    thread = threading.get_native_id()
    policy, parameters = os.sched_getscheduler(thread), os.sched_getparam(thread)
    with suppress(PermissionError):
        os.sched_setscheduler(thread, os.SCHED_RR | os.SCHED_RESET_ON_FORK, os.sched_param(1))
    try:
        yield
    finally:
        with suppress(PermissionError):
            os.sched_setscheduler(thread, policy, parameters)


class _Recorder:
    """Writes what a server says into a recording.

    A server may answer more than once, for example when it took a pause for the end: transcripts and texts are then
    joined, each chunk keeps its reply, and the trace is that of the first reply that brought audio.
    """

    def __init__(self, recording: Recording) -> None:
        self._recording = recording
        self._reply = 0
        self._new_reply = True
        self._sounded = False
        self._traced = False
        self._separator = "" if recording.language in _JOINS_WORDS else " "

    def take(self, at_s: float, event: ServerEvent) -> None:
        recording = self._recording
        match event:
            case ReplyAudio(pcm):
                recording.chunks.append(Chunk(at_s, pcm, self._reply))
                self._sounded |= bool(pcm)
            case Heard(text):
                recording.heard = text if recording.heard is None else recording.heard + self._separator + text
            case Spoken(text):
                between = self._separator if self._new_reply and recording.spoken else ""
                recording.spoken = (recording.spoken or "") + between + text
                self._new_reply = False
            case ReplyEnded(trace, cancelled):
                recording.ended_s = at_s
                if cancelled:
                    recording.cancelled.append(self._reply)
                if not self._traced:
                    recording.trace = trace or recording.trace
                    self._traced = self._sounded
                self._reply += 1
                self._new_reply = True
            case Failed(reason):
                recording.error = reason
