"""What the server does for every event of a client and every piece of a reply."""

from __future__ import annotations

import base64
import json

import numpy as np
import pytest

from benchmarks.micro.conftest import Measured, voice
from pipeline.audio import float_to_pcm16
from pipeline.languages import Language
from server.limits import Limit
from server.pace import Pace
from server.realtime.formats import InputStream, OutputStream
from server.realtime.outputs import MessageOutput
from server.realtime.parse import SessionUpdate, parse_event
from server.realtime.session import AudioFormat, Pcm, Pcmu, Session

FORMATS: dict[str, tuple[AudioFormat, int, int]] = {
    "pcm": (Pcm(), 24_000, 2),
    "mu-law": (Pcmu(type="audio/pcmu"), 8_000, 1),
}


def append(samples_24k: np.ndarray) -> str:
    return json.dumps(
        {"type": "input_audio_buffer.append", "audio": base64.b64encode(float_to_pcm16(samples_24k)).decode()}
    )


def test_parse_a_second_of_appends(measured: Measured) -> None:
    messages = [append(frame) for frame in np.split(voice(1.0, 24_000), 50)]
    assert measured(lambda: [parse_event(message).type for message in messages])


def test_parse_and_apply_a_session_update(measured: Measured) -> None:
    tool = {"type": "function", "name": "weather", "parameters": {"type": "object", "properties": {"city": {}}}}
    message = json.dumps(
        {
            "type": "session.update",
            "session": {
                "type": "realtime",
                "instructions": "Be brief. " * 50,
                "tools": [tool | {"name": f"weather_{number}"} for number in range(8)],
                "audio": {"input": {"turn_detection": {"type": "server_vad"}, "transcription": {"language": "fr"}}},
            },
        }
    )

    def work() -> Session:
        event = parse_event(message)
        assert isinstance(event, SessionUpdate)
        return Session().updated(event.session)

    assert measured(work).conversation_settings((Language.EN,)).languages == (Language.FR,)


@pytest.mark.parametrize("name", FORMATS)
def test_take_in_a_second_of_audio(measured: Measured, name: str) -> None:
    audio_format, rate_hz, width = FORMATS[name]
    frames = [base64.b64encode(bytes(range(256)) * 4)[: rate_hz * width // 50 // 3 * 4].decode()] * 50

    def work() -> int:
        stream = InputStream(audio_format)
        return sum(piece.size for frame in frames for piece in stream.push(frame))

    assert measured(work) > 15_000


@pytest.mark.parametrize("name", FORMATS)
def test_give_out_a_second_of_audio(measured: Measured, name: str) -> None:
    pieces = np.split(voice(1.0, 24_000), 10)

    def work() -> int:
        stream = OutputStream(FORMATS[name][0])
        return sum(len(delta) for piece in pieces for delta in stream.push(piece))

    assert measured(work) > 10_000


def test_build_the_events_of_a_second_of_a_reply(measured: Measured) -> None:
    pieces = np.split(voice(1.0, 24_000), 10)

    def work() -> int:
        output = MessageOutput(1, Language.EN, Pcm(), "resp_1", 0, lambda _: None)
        events = [*output.begun(), *output.clause("Sure, I can help you with that. ")]
        events += [event for piece in pieces for event in output.audio(piece)]
        return sum(len(json.dumps(event)) for event in [*events, *output.ended("completed")])

    assert measured(work) > 64_000


def test_pace_a_thousand_events(measured: Measured) -> None:
    def work() -> float:
        now_s = 0.0
        pace = Pace(
            Limit.EVENTS, most=500, per_s=20, refused=100, clock=lambda: now_s, told=("events are", "send less")
        )
        for _ in range(1_000):
            now_s += 0.1
            pace.take(1.0)
        return pace.ahead_s

    assert measured(work) < 1
