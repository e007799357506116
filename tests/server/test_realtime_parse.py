from __future__ import annotations

import json
from contextlib import suppress
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.realtime import realtime_client_event

from pipeline.languages import Language
from pipeline.profiles import load_profile
from server.realtime.errors import ProtocolError
from server.realtime.parse import EVENT_TYPES, ClientEvent, ResponseCreate, SessionUpdate, parse_event
from server.realtime.session import Session

TURNS = load_profile("embedded").turns

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
FIELDS = st.sampled_from(
    ["session", "audio", "item", "item_id", "response", "content_index", "audio_end_ms", "event_id", "previous_item_id"]
)
SESSION_FIELDS = st.sampled_from(
    [
        *("type", "instructions", "audio", "input", "output", "format", "turn_detection", "transcription", "speed"),
        *("tools", "tool_choice", "max_output_tokens", "output_modalities", "conversation", "metadata", "prompt"),
        *("role", "content", "call_id", "name", "arguments", "id"),
    ]
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


TOOLS = st.lists(
    st.fixed_dictionaries(
        {"type": st.just("function"), "name": st.sampled_from(["look", "listen", "look around"])},
        optional={"description": st.text() | st.none(), "parameters": JSON},
    ),
    max_size=3,
)
TURN_DETECTION = st.none() | st.fixed_dictionaries(
    {"type": st.sampled_from(["server_vad", "semantic_vad", "none"])},
    optional={
        "threshold": st.floats(-1, 2),
        "idle_timeout_ms": st.none() | st.integers(-1, 10**7),
        "prefix_padding_ms": st.integers(-1, 10**4),
        "eagerness": st.sampled_from(["low", "high", "auto", "wild"]),
    },
)
SETTINGS = st.fixed_dictionaries(
    {},
    optional={
        "tools": st.none() | TOOLS,
        "tool_choice": st.sampled_from(["none", "auto", "required", {"type": "function", "name": "look"}, None]),
        "max_output_tokens": st.sampled_from([None, "inf", 0, 5, 10**6]),
        "output_modalities": st.sampled_from([None, [], ["text"], ["audio"], ["text", "audio"]]),
        "instructions": st.none() | st.text(),
        "audio": st.fixed_dictionaries(
            {}, optional={"input": st.fixed_dictionaries({"turn_detection": TURN_DETECTION})}
        ),
    },
)


@given(st.lists(SETTINGS, max_size=4), SETTINGS)
def test_whatever_a_session_has_become_it_means_something(updates: list[Any], once: Any) -> None:
    session = Session()
    for update in updates:
        event = parsed_or_refused(json.dumps({"type": "session.update", "session": update}))
        if isinstance(event, SessionUpdate):
            with suppress(ValueError):
                session = session.updated(event.session)
        assert session.conversation_settings(tuple(Language)).turn_taking(TURNS).longest_wait_s > 0
        assert Session.model_validate(session.model_dump()) == session
    event = parsed_or_refused(json.dumps({"type": "response.create", "response": once}))
    if isinstance(event, ResponseCreate) and event.response is not None:
        with suppress(ValueError):
            assert session.updated(event.response).conversation_settings(tuple(Language))
