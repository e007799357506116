"""One question, one answer: what `s2s talk` does."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass

import numpy as np

from client import endpoint, realtime
from client.audio import FloatArray
from client.clip_guard import ClipGuard, safe_samples
from client.connection import say_nothing
from client.endpoint import EndpointClient
from client.events import Failed, Heard, ReplyAudio, ReplyEnded, ServerEvent, Spoken
from client.play import LIMIT_S, Session, play
from client.realtime import RealtimeClient


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of a question.

    Attributes:
        heard: the server's transcript; None where the protocol carries none.
        spoken: the text of the reply; None where the protocol carries none.
        samples: the reply, safe to play: float32 mono, shape (n,), at `rate_hz`.
        first_audio_s: when the reply's first byte came, in seconds after the end of the question; negative before it.
        failure: what went wrong, in words; None if nothing did.
    """

    heard: str | None
    spoken: str | None
    samples: FloatArray
    rate_hz: int
    first_audio_s: float | None
    failure: str | None


def protocol_rate_hz(url: str) -> int:
    """The rate of the audio, both ways, of the protocol that the URL's path names."""
    return endpoint.RATE_HZ if endpoint.is_endpoint_url(url) else realtime.RATE_HZ


def open_client(
    url: str,
    *,
    language: str = "auto",
    token: str | None = None,
    wait_s: float = 0.0,
    on_wait: Callable[[str], None] = say_nothing,
) -> AbstractAsyncContextManager[Session]:
    """A client of the protocol that the URL's path names: /ws is the binary one, any other the Realtime one.

    Entering raises `client.connection.UnavailableError`.
    """
    if endpoint.is_endpoint_url(url):
        return EndpointClient(url, language=language, token=token, wait_s=wait_s, on_wait=on_wait)
    return RealtimeClient(url, language=language, token=token, wait_s=wait_s, on_wait=on_wait)


async def talk(
    session: Session,
    pcm16: bytes,
    *,
    rate_hz: int,
    on_event: Callable[[ServerEvent], None] = lambda _event: None,
    limit_s: float = LIMIT_S,
) -> Answer:
    """Play a question, PCM16 mono at `rate_hz`, in real time, and collect the answer."""
    heard: list[str] = []
    spoken: list[str] = []
    guard = ClipGuard()
    samples: list[FloatArray] = []
    first_audio_s: float | None = None
    failure: str | None = None

    def take(at_s: float, event: ServerEvent) -> None:
        nonlocal first_audio_s, failure
        match event:
            case Heard(text):
                heard.append(text)
            case Spoken(text):
                spoken.append(text)
            case ReplyAudio(pcm):
                samples.append(safe_samples(pcm, guard))
                first_audio_s = at_s if first_audio_s is None else first_audio_s
            case ReplyEnded():
                guard.join()
            case Failed(reason):
                failure = reason
        on_event(event)

    await play(session, pcm16, rate_hz=rate_hz, on_event=take, limit_s=limit_s)
    question_s = len(pcm16) / (2 * rate_hz)
    return Answer(
        heard=" ".join(heard) if heard else None,
        spoken="".join(spoken) if spoken else None,
        samples=np.concatenate(samples) if samples else np.zeros(0, dtype=np.float32),
        rate_hz=rate_hz,
        first_audio_s=None if first_audio_s is None else first_audio_s - question_s,
        failure=failure,
    )
