"""Two callers who do anything at all: nobody is told what is the other's, and the server lives."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from openai.types.realtime import RealtimeServerEvent
from pydantic import Field, TypeAdapter

from fuzz.callers import PATHS, STEPS, run
from pipeline.lm.base import Message
from pipeline.testing import Script, scripted_engine

SERVER_EVENT: TypeAdapter[Any] = TypeAdapter(Annotated[RealtimeServerEvent, Field(discriminator="type")])


def say(text: str) -> tuple[str, Any]:
    content = [{"type": "input_text", "text": text}]
    return "event", {
        "type": "conversation.item.create",
        "item": {"type": "message", "role": "user", "content": content},
    }


RESPOND = ("event", {"type": "response.create"})


REALTIME = ("/v1/realtime", "/v1/realtime")


@given(steps=STEPS, paths=PATHS)
@example(steps=[(0, ("wait", 0.0)), (0, say("NAME")), (0, ("leave", True))], paths=REALTIME)  # before it is all read
@example(steps=[(0, ("bytes", b"\0"))], paths=REALTIME)  # the begin of a frame, and no more
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
def test_whatever_they_do_each_hears_its_own(steps: Any, paths: tuple[str, str]) -> None:
    run(steps, paths=paths, check=SERVER_EVENT.validate_python)


def test_two_who_are_answered_hear_their_own_words() -> None:
    both = run([(0, say("NAME one")), (1, say("NAME two")), (0, RESPOND), (1, RESPOND), (0, ("wait", 3.0))])
    for caller, words in zip(both, ("ursula one", "quentin two"), strict=True):
        said = [
            event["transcript"] for event in caller.told if event["type"] == "response.output_audio_transcript.done"
        ]
        assert said == [words]


def test_what_one_is_told_of_the_other_is_found() -> None:
    heard: list[str] = []

    def gossip(messages: Sequence[Message]) -> str:
        heard.append(messages[-1].text)
        return " ".join(heard)

    with pytest.raises(AssertionError, match="quentin was told what is ursula's"):
        run(
            [(0, say("NAME one")), (0, RESPOND), (0, ("wait", 3.0)), (1, say("NAME two")), (1, RESPOND)],
            engine=lambda: scripted_engine(Script(reply=gossip)),
        )


def test_a_server_that_fails_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.realtime.connection.parse_event", lambda message, limits: 1 // 0)
    with pytest.raises(AssertionError, match="the server failed"):
        run([(0, RESPOND)])
