from __future__ import annotations

import json
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.realtime import realtime_client_event

from server.realtime.errors import ProtocolError
from server.realtime.parse import EVENT_TYPES, ClientEvent, parse_event

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
FIELDS = st.sampled_from(
    ["session", "audio", "item", "item_id", "response", "content_index", "audio_end_ms", "event_id", "previous_item_id"]
)
SESSION_FIELDS = st.sampled_from(
    ["type", "instructions", "audio", "input", "output", "format", "turn_detection", "transcription", "tools", "speed"]
)
EVENTS = st.builds(
    lambda kind, fields: {**fields, "type": kind},
    st.sampled_from(EVENT_TYPES),
    st.dictionaries(FIELDS, JSON | st.dictionaries(SESSION_FIELDS, JSON | st.dictionaries(SESSION_FIELDS, JSON))),
)


def parsed_or_refused(message: str | bytes) -> ClientEvent | ProtocolError:
    try:
        return parse_event(message)
    except ProtocolError as error:
        return error


@given(st.binary() | st.text())
def test_noise_is_refused(message: str | bytes) -> None:
    assert isinstance(parsed_or_refused(message), ProtocolError)


@given(JSON)
def test_any_json_is_parsed_or_refused(document: Any) -> None:
    assert isinstance(parsed_or_refused(json.dumps(document)), ProtocolError)


@given(EVENTS)
def test_any_fields_are_parsed_or_refused(document: Any) -> None:
    result = parsed_or_refused(json.dumps(document))
    told = result.message if isinstance(result, ProtocolError) else result.model_dump_json()
    assert told.encode()


def test_json_nested_without_end_is_refused() -> None:
    assert isinstance(parsed_or_refused("[" * 100_000), ProtocolError)


def test_the_event_types_are_those_of_the_sdk() -> None:
    (union, *_) = get_args(realtime_client_event.RealtimeClientEvent)
    assert {get_args(event.model_fields["type"].annotation)[0] for event in get_args(union)} == set(EVENT_TYPES)


@pytest.mark.parametrize(
    ("document", "code", "param", "says"),
    [
        ({"type": "response.audio.delta"}, "unknown_event", "type", "session.update"),
        ({}, "unknown_event", "type", "None"),
        ({"type": ["session.update"]}, "unknown_event", "type", "session.update"),
        ({"type": "input_audio_buffer.append"}, "missing_required_parameter", "audio", "audio"),
        ({"type": "input_audio_buffer.append", "audio": 5}, "invalid_value", "audio", "5"),
        ({"type": "session.update", "session": {"voice": "alloy"}}, "invalid_value", "session", "audio.output.voice"),
        (
            {"type": "session.update", "session": {"audio": {"input": {"transcription": {"language": "de"}}}}},
            "invalid_value",
            "session.audio.input.transcription.language",
            "en, fr, es, zh, ja, ko, auto",
        ),
        (
            {
                "type": "session.update",
                "session": {"audio": {"input": {"format": {"type": "audio/pcm", "rate": 16000}}}},
            },
            "invalid_value",
            "session.audio.input.format.audio/pcm.rate",
            "24000",
        ),
        ({"type": "session.update", "session": {"type": "transcription"}}, "invalid_value", "session.type", "realtime"),
    ],
)
def test_refusals_name_the_field_and_the_remedy(document: Any, code: str, param: str, says: str) -> None:
    with pytest.raises(ProtocolError) as refused:
        parse_event(json.dumps({**document, "event_id": "mine"}))
    assert (refused.value.code, refused.value.param, refused.value.event_id) == (code, param, "mine")
    assert says in refused.value.message
