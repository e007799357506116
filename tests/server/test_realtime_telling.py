from __future__ import annotations

from typing import Annotated, Any

import numpy as np
from openai.types.realtime import RealtimeServerEvent
from pydantic import Field, TypeAdapter

from pipeline.events import (
    Event,
    ReplyAudio,
    ReplyDone,
    ReplyStarted,
    ReplyText,
    SpeechStarted,
    SpeechStopped,
    Transcribed,
    TurnCommitted,
    TurnEmpty,
    TurnFailed,
)
from pipeline.languages import Language
from server.realtime.items import Items
from server.realtime.session import Session
from server.realtime.telling import Telling

SERVER_EVENT: TypeAdapter[Any] = TypeAdapter(Annotated[RealtimeServerEvent, Field(discriminator="type")])
SAMPLES = np.zeros(2_400, np.float32)


def begun() -> Telling:
    return Telling(Session(), Items(500, 2**20), lambda: 7.0)


def tell(telling: Telling, *events: Event) -> list[dict[str, Any]]:
    told = [message for event in events for message in telling.told(event)]
    for message in told:
        SERVER_EVENT.validate_python({"event_id": "event_1", **message})
    return told


def done(turn: int | None = 1, **fields: Any) -> ReplyDone:
    return ReplyDone(1, turn, **{"status": "completed", "text": "Hi.", "language": Language.EN, **fields})


def test_a_turn_keeps_one_item_from_first_sound_to_transcript() -> None:
    told = tell(
        begun(),
        SpeechStarted(1, 0.5, 0.25),
        SpeechStopped(1, 1.5),
        TurnCommitted(1, 0.25, 1.5, message=1),
        Transcribed(1, "hello", Language.EN, 1.25),
    )
    assert told[0]["audio_start_ms"] == 250
    assert told[1]["audio_end_ms"] == 1500
    assert len({message.get("item_id") or message["item"]["id"] for message in told}) == 1
    assert told[-1]["usage"] == {"type": "duration", "seconds": 1.25}


def test_a_turn_without_words_is_completed_empty() -> None:
    told = tell(begun(), TurnCommitted(1, 0.5, 1.5, message=1), TurnEmpty(1))
    assert told[-1]["transcript"] == ""
    assert told[-1]["usage"]["seconds"] == 1.0
    assert not [message for message in told if message["type"].endswith("transcription.delta")]


def test_a_turn_that_could_not_be_transcribed_says_so() -> None:
    told = tell(begun(), TurnCommitted(1, 0.5, 1.5, message=1), TurnFailed(1, "speech_to_text", "it broke"))
    assert told[-1]["type"] == "conversation.item.input_audio_transcription.failed"
    assert told[-1]["error"] == {"type": "server_error", "code": "speech_to_text_failed", "message": "it broke"}


def test_without_transcription_the_transcript_is_not_told_but_kept() -> None:
    telling = begun()
    telling.session = Session.model_validate({"audio": {"input": {"transcription": None}}})
    told = tell(telling, TurnCommitted(1, 0.5, 1.5, message=1), Transcribed(1, "hello", Language.EN, 1.0))
    assert told[-1]["type"] == "conversation.item.done"


def test_a_failed_reply_ends_with_its_reason() -> None:
    told = tell(
        begun(),
        ReplyStarted(1, 1, Language.EN, message=2),
        ReplyText(1, "Hi."),
        TurnFailed(1, "text_to_speech", "it broke", reply=1),
        done(status="failed"),
    )
    response = told[-1]["response"]
    assert told[-1]["type"] == "response.done"
    assert response["status"] == "failed"
    assert response["status_details"]["error"]["message"] == "it broke"
    assert response["output"][0]["status"] == "incomplete"


def test_a_reply_cancelled_before_it_began_is_told_all_the_same() -> None:
    telling = begun()
    telling.cancel(1)
    told = tell(telling, ReplyStarted(1, None, Language.EN, message=2), done(turn=None, status="cancelled", text=""))
    assert told[0]["type"] == "response.created"
    assert told[-1]["response"]["status_details"] == {"type": "cancelled", "reason": "client_cancelled"}


def test_a_reply_cancelled_by_the_next_turn_says_so() -> None:
    told = tell(begun(), ReplyStarted(1, 1, Language.EN, message=2), done(status="cancelled"))
    assert told[-1]["response"]["status_details"] == {"type": "cancelled", "reason": "turn_detected"}


def test_no_audio_is_told_after_a_cancel() -> None:
    telling = begun()
    tell(telling, ReplyStarted(1, 1, Language.EN, message=2), ReplyText(1, "Hi."))
    telling.cancel(1)
    assert tell(telling, ReplyAudio(1, SAMPLES)) == []


def test_the_trace_tells_when_the_first_audio_left() -> None:
    told = tell(
        begun(),
        ReplyStarted(1, 1, Language.EN, message=2),
        ReplyText(1, "Hi."),
        ReplyAudio(1, SAMPLES),
        done(prompt_tokens=3),
    )
    assert told[-1]["response"]["trace"] == {"first_sent_s": 7.0}
    assert told[-1]["response"]["usage"]["input_tokens"] == 3


def test_the_items_of_a_conversation_are_chained() -> None:
    told = tell(
        begun(),
        TurnCommitted(1, 0.0, 1.0, message=1),
        Transcribed(1, "hello", Language.EN, 1.0),
        ReplyStarted(1, 1, Language.EN, message=2),
        done(),
        TurnCommitted(2, 2.0, 3.0, message=3),
    )
    added = [message for message in told if message["type"] == "conversation.item.added"]
    ids = [message["item"]["id"] for message in added]
    assert [message["previous_item_id"] for message in added] == [None, *ids[:-1]]
