"""Whole conversations over a loopback socket; their client validates every event against the schema of the SDK."""

from __future__ import annotations

import asyncio
import base64
import threading
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from pipeline.lm.base import Message
from pipeline.testing import Script, scripted_engine
from pipeline.worker import Threads

NO_TURN_DETECTION = {"input": {"turn_detection": None}}


def in_threads(name: str, slots: int) -> Threads:
    """For a model that blocks."""
    return Threads(name, slots)


class HeldBack:
    """A language model's answer that does not come until it is let go."""

    def __init__(self) -> None:
        self._let_go = threading.Event()

    def __call__(self, messages: Sequence[Message]) -> str:
        self._let_go.wait()
        return "Here it is."

    def let_go(self) -> None:
        self._let_go.set()


@pytest.fixture
def held_back() -> Iterator[HeldBack]:
    reply = HeldBack()
    yield reply
    reply.let_go()


@pytest.mark.asyncio
async def test_a_turn_is_told_in_the_protocols_order(running: Any, talk: Any) -> None:
    async with (
        running(scripted_engine(Script(heard=["hello"], reply=lambda messages: "Hi. How are you?"))) as server,
        talk(server) as talker,
    ):
        await talker.update()
        await talker.ask()
        done = await talker.until("response.done")
    part = ["response.output_audio_transcript.delta", "response.output_audio.delta"]
    assert talker.types() == [
        "session.created",
        "session.updated",
        "input_audio_buffer.speech_started",
        "input_audio_buffer.speech_stopped",
        "input_audio_buffer.committed",
        "conversation.item.added",
        "conversation.item.done",
        "conversation.item.input_audio_transcription.delta",
        "conversation.item.input_audio_transcription.completed",
        "response.created",
        "response.output_item.added",
        "conversation.item.added",
        "response.content_part.added",
        *part,
        *part,
        "response.output_audio.done",
        "response.output_audio_transcript.done",
        "response.content_part.done",
        "response.output_item.done",
        "conversation.item.done",
        "response.done",
    ]
    assert talker.of("response.output_audio_transcript.done")[0]["transcript"] == "Hi. How are you?"
    deltas = [base64.b64decode(message["delta"]) for message in talker.of("response.output_audio.delta")]
    assert max(len(delta) for delta in deltas) <= 2 * 2_400
    assert sum(len(delta) for delta in deltas) == pytest.approx(2 * 24_000 * 0.05 * 15, abs=4)
    trace = done["response"]["trace"]
    assert trace["speech_end_s"] == pytest.approx(0.6, abs=0.05)
    assert {"committed_s", "transcript_s", "first_token_s", "first_sample_s", "first_sent_s"} <= set(trace)


@pytest.mark.asyncio
async def test_the_second_turn_remembers_the_first(running: Any, talk: Any) -> None:
    engine = scripted_engine(
        Script(heard=["one", "two"], reply=lambda messages: " ".join(m.text for m in messages[1:]))
    )
    async with running(engine) as server, talk(server) as talker:
        for _ in range(2):
            await talker.ask()
            await talker.until("response.done")
            await asyncio.sleep(0.2)  # the answer, of 0.15 s, is played
    said = [message["transcript"] for message in talker.of("response.output_audio_transcript.done")]
    assert said == ["one", "one one two"]


@pytest.mark.asyncio
async def test_text_is_answered_in_text(running: Any, talk: Any) -> None:
    engine = scripted_engine(Script(reply=lambda messages: f"{messages[0].text} {messages[-1].text}"))
    async with running(engine) as server, talk(server) as talker:
        await talker.update(output_modalities=["text"], instructions="Repeat:")
        content = [{"type": "input_text", "text": "good day"}]
        await talker.send("conversation.item.create", item={"type": "message", "role": "user", "content": content})
        await talker.until("conversation.item.done")
        await talker.send("response.create", response={"metadata": {"client_event_id": "event_9"}})
        created = await talker.until("response.created")
        done = await talker.until("response.done")
    assert created["response"]["metadata"] == {"client_event_id": "event_9"}
    assert done["response"]["output"][0]["content"] == [{"type": "output_text", "text": "Repeat: good day"}]
    assert talker.of("response.content_part.added")[0]["part"]["type"] == "text"
    assert not talker.of("response.output_audio.delta")


@pytest.mark.asyncio
async def test_push_to_talk_answers_what_was_committed(running: Any, talk: Any, question: Any) -> None:
    engine = scripted_engine(Script(heard=["pushed"], reply=lambda messages: messages[-1].text))
    async with running(engine) as server, talk(server) as talker:
        await talker.update(audio=NO_TURN_DETECTION)
        await talker.append(question(24_000))
        await talker.send("input_audio_buffer.commit")
        await talker.send("response.create")
        done = await talker.until("response.done")
    assert done["response"]["output"][0]["content"][0]["transcript"] == "pushed"
    assert not talker.of("input_audio_buffer.speech_started")


@pytest.mark.asyncio
async def test_what_was_cleared_cannot_be_committed(running: Any, talk: Any, question: Any) -> None:
    async with running() as server, talk(server) as talker:
        await talker.update(audio=NO_TURN_DETECTION)
        await talker.append(question(24_000))
        await talker.send("input_audio_buffer.clear")
        await talker.until("input_audio_buffer.cleared")
        await talker.send("input_audio_buffer.commit", event_id="mine")
        error = (await talker.until("error"))["error"]
    assert (error["code"], error["event_id"]) == ("input_audio_buffer_commit_empty", "mine")


@pytest.mark.asyncio
async def test_a_response_can_be_cancelled(running: Any, talk: Any, held_back: HeldBack) -> None:
    async with running(scripted_engine(Script(reply=held_back), runner=in_threads)) as server, talk(server) as talker:
        await talker.send("response.create")
        created = await talker.until("response.created")
        await talker.send("response.create", event_id="too many")
        error = (await talker.until("error"))["error"]
        assert (error["code"], error["event_id"]) == ("conversation_already_has_active_response", "too many")
        await talker.send("response.cancel", response_id="resp_other")
        assert (await talker.until("error"))["error"]["code"] == "response_cancel_not_active"
        await talker.send("response.cancel", response_id=created["response"]["id"])
        done = await talker.until("response.done")
        assert done["response"]["status_details"] == {"type": "cancelled", "reason": "client_cancelled"}
        await talker.send("response.cancel")
        assert (await talker.until("error"))["error"]["code"] == "response_cancel_not_active"
        held_back.let_go()
        await talker.send("response.create")
        done = await talker.until("response.done")
        assert done["response"]["status"] == "completed"


@pytest.mark.asyncio
async def test_a_failing_model_fails_the_response_and_nothing_else(running: Any, talk: Any) -> None:
    answers = iter([ValueError("no"), "Better."])

    def reply(messages: Sequence[Message]) -> str:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    async with running(scripted_engine(Script(reply=reply))) as server, talk(server) as talker:
        await talker.ask()
        failed = (await talker.until("response.done"))["response"]
        await talker.ask()
        completed = (await talker.until("response.done"))["response"]
    assert failed["status"] == "failed"
    assert failed["status_details"]["error"]["code"] == "language_model_failed"
    assert completed["status"] == "completed"


@pytest.mark.asyncio
@pytest.mark.parametrize("law", ["audio/pcmu", "audio/pcma"])
async def test_telephone_formats_both_ways(running: Any, talk: Any, question: Any, law: str) -> None:
    silence = {"audio/pcmu": b"\xff", "audio/pcma": b"\xd5"}[law]
    loud_and_soft = bytes([0x20, 0xA0]) * 2_400
    async with running(scripted_engine(Script(reply=lambda messages: "Hi."))) as server, talk(server) as talker:
        law_format = {"type": law}
        session = await talker.update(audio={"input": {"format": law_format}, "output": {"format": law_format}})
        assert session["audio"]["input"]["format"] == law_format
        encoded = loud_and_soft.replace(b"\x20\xa0", b"\x20\x20\xa0\xa0") + silence * 6_400
        await talker.send("input_audio_buffer.append", audio=base64.b64encode(encoded).decode())
        await talker.until("response.done")
    deltas = [base64.b64decode(message["delta"]) for message in talker.of("response.output_audio.delta")]
    assert sum(len(delta) for delta in deltas) == pytest.approx(8_000 * 0.05 * 3, abs=2)


@pytest.mark.asyncio
async def test_items_are_created_retrieved_truncated_and_deleted(running: Any, talk: Any) -> None:
    async with (
        running(scripted_engine(Script(reply=lambda messages: "Hello there. And again."))) as server,
        talk(server) as talker,
    ):
        for role, kind in [("system", "input_text"), ("user", "input_text"), ("assistant", "output_text")]:
            item = {"type": "message", "role": role, "id": f"my_{role}", "content": [{"type": kind, "text": role}]}
            await talker.send("conversation.item.create", item=item, previous_item_id="root")
            added = await talker.until("conversation.item.added")
            assert (added["previous_item_id"], added["item"]["id"]) == (None, f"my_{role}")
        await talker.send("conversation.item.retrieve", item_id="my_user")
        assert (await talker.until("conversation.item.retrieved"))["item"]["content"][0]["text"] == "user"
        await talker.send("conversation.item.delete", item_id="my_user")
        assert (await talker.until("conversation.item.deleted"))["item_id"] == "my_user"
        await talker.send("response.create")
        spoken = (await talker.until("response.done"))["response"]["output"][0]["id"]
        # The first clause takes 12 characters of 50 ms.
        await talker.send("conversation.item.truncate", item_id=spoken, content_index=0, audio_end_ms=700)
        await talker.until("conversation.item.truncated")
        await talker.send("conversation.item.retrieve", item_id=spoken)
        item = (await talker.until("conversation.item.retrieved"))["item"]
        assert item["content"][0]["transcript"].strip() == "Hello there."


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("event", "code"),
    [
        ({"type": "conversation.item.retrieve", "item_id": "no"}, "item_retrieve_invalid_item_id"),
        ({"type": "conversation.item.delete", "item_id": "no"}, "item_delete_invalid_item_id"),
        (
            {"type": "conversation.item.truncate", "item_id": "no", "content_index": 0, "audio_end_ms": 0},
            "item_truncate_invalid_item_id",
        ),
        (
            {"type": "conversation.item.truncate", "item_id": "text", "content_index": 0, "audio_end_ms": 0},
            "item_truncate_not_audio",
        ),
        (
            {"type": "conversation.item.truncate", "item_id": "spoken", "content_index": 0, "audio_end_ms": 60_000},
            "invalid_value",
        ),
        (
            {
                "type": "conversation.item.create",
                "item": {"type": "message", "role": "user", "content": [{"type": "input_audio", "audio": ""}]},
            },
            "unsupported_content",
        ),
        (
            {
                "type": "conversation.item.create",
                "item": {"type": "function_call_output", "call_id": "c", "output": "5"},
            },
            "invalid_tool_call_id",
        ),
        (
            {
                "type": "conversation.item.create",
                "item": {
                    "type": "message",
                    "role": "user",
                    "id": "text",
                    "content": [{"type": "input_text", "text": "x"}],
                },
            },
            "item_create_duplicate_id",
        ),
        (
            {
                "type": "conversation.item.create",
                "previous_item_id": "no",
                "item": {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "x"}]},
            },
            "item_create_invalid_previous_item_id",
        ),
        ({"type": "output_audio_buffer.clear"}, "unsupported_event"),
        ({"type": "response.create", "response": {"conversation": "mine"}}, "invalid_value"),
        ({"type": "response.create", "response": {"voice": "alloy"}}, "invalid_value"),
        ({"type": "response.create", "response": {"prompt": {"id": "pmpt_1"}}}, "invalid_value"),
        (
            {"type": "response.create", "response": {"tool_choice": {"type": "function", "name": "look"}}},
            "invalid_value",
        ),
        (
            {"type": "response.create", "response": {"input": [{"type": "item_reference", "id": "no"}]}},
            "item_reference_invalid_item_id",
        ),
        ({"type": "session.update", "session": {"prompt": {"id": "pmpt_1"}}}, "invalid_value"),
        ({"type": "session.update", "session": {"tools": [{"type": "mcp", "server_label": "x"}]}}, "invalid_value"),
        (
            {"type": "session.update", "session": {"tool_choice": {"type": "function", "name": "look"}}},
            "invalid_value",
        ),
        ({"type": "response.dance"}, "unknown_event"),
        ({"type": "input_audio_buffer.append", "audio": "é"}, "invalid_audio"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_what_cannot_be_served_is_an_error_by_name(running: Any, talk: Any, event: Any, code: str) -> None:
    async with running() as server, talk(server) as talker:
        item = {"type": "message", "role": "user", "id": "text", "content": [{"type": "input_text", "text": "x"}]}
        await talker.send("conversation.item.create", item=item)
        await talker.send("response.create")
        spoken = (await talker.until("response.done"))["response"]["output"][0]["id"]
        if event.get("item_id") == "spoken":
            event = {**event, "item_id": spoken}
        await talker.send(
            **{"kind" if name == "type" else name: value for name, value in event.items()}, event_id="mine"
        )
        error = (await talker.until("error"))["error"]
        assert (error["code"], error["event_id"], error["type"]) == (code, "mine", "invalid_request_error")
        await talker.ask()
        assert (await talker.until("response.done"))["response"]["status"] == "completed"


@pytest.mark.asyncio
async def test_the_session_names_the_model_of_the_url(running: Any, talk: Any) -> None:
    async with running() as server, talk(server, "/realtime?model=gpt-realtime") as talker:
        assert talker.heard[0]["session"]["model"] == "gpt-realtime"


@pytest.mark.asyncio
async def test_the_next_question_cancels_the_reply_under_way(running: Any, talk: Any, held_back: HeldBack) -> None:
    async with running(scripted_engine(Script(reply=held_back), runner=in_threads)) as server, talk(server) as talker:
        await talker.ask()
        await talker.until("response.created")
        await talker.ask()
        done = await talker.until("response.done")
        assert done["response"]["status_details"] == {"type": "cancelled", "reason": "turn_detected"}
        held_back.let_go()
        done = await talker.until("response.done")
        assert done["response"]["status"] == "completed"
