from __future__ import annotations

from typing import Any

import pytest

from pipeline.languages import Language
from server.realtime.session import Session

ALL = tuple(Language)


def updated(session: Session, **patch: Any) -> Session:
    return session.updated(Session.model_validate(patch))


def test_an_absent_field_keeps_its_value() -> None:
    session = updated(Session(), instructions="Be brief.", audio={"output": {"voice": "bella"}})
    session = updated(session, audio={"output": {"speed": 1.2}, "input": {"transcription": {"language": "fr"}}})
    session = updated(session, audio={"input": {"transcription": {"model": "whisper-1"}}})
    assert session.instructions == "Be brief."
    assert (session.audio.output.voice_name, session.audio.output.speed) == ("bella", 1.2)
    assert session.audio.input.transcription is not None
    assert session.audio.input.transcription.language == "fr"


def test_null_clears_turn_detection_and_is_absence_elsewhere() -> None:
    session = updated(Session(), instructions="Be brief.")
    session = updated(session, instructions=None, audio={"input": {"turn_detection": None}, "output": None})
    assert session.audio.input.turn_detection is None
    assert session.instructions == "Be brief."


def test_empty_clears_instructions_and_tools() -> None:
    session = updated(Session(), instructions="Be brief.", tools=[{"type": "function", "name": "look"}])
    assert updated(session, instructions="", tools=[]) == Session()


def test_turn_detection_is_replaced_whole() -> None:
    session = updated(
        Session(), audio={"input": {"turn_detection": {"type": "server_vad", "silence_duration_ms": 700}}}
    )
    session = updated(session, audio={"input": {"turn_detection": {"type": "server_vad", "threshold": 0.4}}})
    assert session.conversation_settings(ALL).silence_limit_s == 0.5


def test_of_the_transcription_only_what_is_known_is_told() -> None:
    assert Session().model_dump()["audio"]["input"]["transcription"] == {}
    session = updated(Session(), audio={"input": {"transcription": {"language": "fr"}}})
    assert session.model_dump()["audio"]["input"]["transcription"] == {"language": "fr"}


def test_transcription_comes_back_after_null() -> None:
    session = updated(Session(), audio={"input": {"transcription": None}})
    assert session.audio.input.transcription is None
    assert updated(session, audio={"input": {"transcription": {}}}) == Session()


@pytest.mark.parametrize(
    ("patch", "settings"),
    [
        ({}, {"languages": (Language.KO,), "detect_turns": True, "reply_to_turns": True, "silence_limit_s": None}),
        ({"audio": {"input": {"transcription": {"language": "auto"}}}}, {"languages": ALL}),
        ({"audio": {"input": {"transcription": {"language": "ja"}}}}, {"languages": (Language.JA,)}),
        ({"audio": {"input": {"turn_detection": None}}}, {"detect_turns": False, "reply_to_turns": False}),
        (
            {"audio": {"input": {"turn_detection": {"type": "semantic_vad", "create_response": False}}}},
            {"detect_turns": True, "reply_to_turns": False, "silence_limit_s": None},
        ),
        ({"audio": {"input": {"turn_detection": {"type": "semantic_vad"}}}}, {"interrupt": True, "patience": 1.0}),
        ({"audio": {"input": {"turn_detection": {"type": "semantic_vad", "eagerness": "auto"}}}}, {"patience": 1.0}),
        ({"audio": {"input": {"turn_detection": {"type": "semantic_vad", "eagerness": "low"}}}}, {"patience": 2.0}),
        ({"audio": {"input": {"turn_detection": {"type": "semantic_vad", "eagerness": "high"}}}}, {"patience": 0.5}),
        (
            {"audio": {"input": {"turn_detection": {"type": "server_vad"}}}},
            {"silence_limit_s": 0.5, "speech_threshold": 0.5, "prefix_s": 0.3, "idle_timeout_s": None},
        ),
        (
            {
                "audio": {
                    "input": {
                        "turn_detection": {
                            "type": "server_vad",
                            "threshold": 0.8,
                            "prefix_padding_ms": 100,
                            "silence_duration_ms": 700,
                            "idle_timeout_ms": 6000,
                        }
                    }
                }
            },
            {"silence_limit_s": 0.7, "speech_threshold": 0.8, "prefix_s": 0.1, "idle_timeout_s": 6.0},
        ),
        (
            {"audio": {"input": {"turn_detection": {"type": "semantic_vad", "interrupt_response": False}}}},
            {"interrupt": False},
        ),
        (
            {"audio": {"input": {"turn_detection": {"type": "server_vad", "interrupt_response": False}}}},
            {"interrupt": False},
        ),
        ({"audio": {"output": {"voice": {"id": "voice_1"}, "speed": 0.5}}}, {"voice": "voice_1", "speed": 0.5}),
        ({"output_modalities": ["text"], "max_output_tokens": 12}, {"speak": False, "max_reply_tokens": 12}),
    ],
)
def test_what_a_session_means_to_the_pipeline(patch: Any, settings: Any) -> None:
    meant = updated(Session(), **patch).conversation_settings((Language.KO,))
    assert {name: getattr(meant, name) for name in settings} == settings
