"""What one `response.create` may ask of its response, and responses beside the conversation."""

from __future__ import annotations

import asyncio
import base64
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from pipeline.asides import MOST_AT_ONCE
from pipeline.lm.base import CutOff, Message
from pipeline.testing import Prompts, Script, scripted_engine
from pipeline.worker import Threads

ASIDE = {"conversation": "none", "output_modalities": ["text"]}


def user(text: str, **fields: Any) -> dict[str, Any]:
    return {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}], **fields}


def said(done: dict[str, Any]) -> str:
    part = done["response"]["output"][0]["content"][0]
    text: str = part.get("text") or part.get("transcript")
    return text


@pytest.mark.asyncio
async def test_one_response_may_be_unlike_the_session(running: Any, talk: Any) -> None:
    script = Script(reply=lambda messages: f"{messages[0].text} Hi.")
    async with running(scripted_engine(script)) as server, talk(server) as talker:
        await talker.update(instructions="Session.", max_output_tokens=40)
        audio = {"output": {"format": {"type": "audio/pcmu"}, "voice": "marin"}}
        await talker.send("response.create", response={"instructions": "Once.", "audio": audio, "max_output_tokens": 7})
        once = await talker.until("response.done")
        deltas = talker.of("response.output_audio.delta")
        await asyncio.sleep(0.5)
        await talker.send("response.create")
        again = await talker.until("response.done")
    assert (said(once), said(again)) == ("Once. Hi.", "Session. Hi.")
    assert once["response"]["audio"]["output"] == {"format": {"type": "audio/pcmu"}, "voice": "marin"}
    assert once["response"]["max_output_tokens"] == 7
    assert again["response"]["audio"]["output"]["format"]["type"] == "audio/pcm"
    assert [tokens for tokens, _ in script.asked] == [7, 40]
    octets = sum(len(base64.b64decode(message["delta"])) for message in deltas)
    assert octets == pytest.approx(8_000 * 0.05 * len("Once." + "Hi."), abs=8)


@pytest.mark.asyncio
async def test_an_answer_that_is_cut_off_is_incomplete(running: Any, talk: Any) -> None:
    async with (
        running(scripted_engine(Script(reply=lambda messages: ["Once upon a", CutOff()]))) as server,
        talk(server) as talker,
    ):
        await talker.send("response.create", response={"max_output_tokens": 3})
        done = (await talker.until("response.done"))["response"]
    assert (done["status"], done["output"][0]["status"]) == ("incomplete", "incomplete")
    assert done["status_details"] == {"type": "incomplete", "reason": "max_output_tokens"}


@pytest.mark.asyncio
async def test_a_response_beside_the_conversation_leaves_no_trace_in_it(running: Any, talk: Any) -> None:
    prompts = Prompts("A greeting.", "Good day.")
    async with running(scripted_engine(Script(reply=prompts))) as server, talk(server) as talker:
        await talker.send("conversation.item.create", item=user("hello", id="hello"))
        await talker.send("conversation.item.create", item=user("not this"))
        context = [user("What is this?"), {"type": "item_reference", "id": "hello"}]
        asked = {**ASIDE, "input": context, "instructions": "Classify.", "metadata": {"topic": "kind"}}
        await talker.send("response.create", response=asked)
        done = await talker.until("response.done")
        await talker.send("response.create")
        own = await talker.until("response.done")
    assert (done["response"]["conversation_id"], done["response"]["metadata"]) == (None, {"topic": "kind"})
    assert own["response"]["conversation_id"].startswith("conv_")
    assert prompts.seen[0] == [
        Message("system", "Classify."),
        Message("user", "What is this?"),
        Message("user", "hello"),
    ]
    assert prompts.last() == [("user", "hello"), ("user", "not this")]
    beside = done["response"]["output"][0]["id"]
    assert beside not in [message["item"]["id"] for message in talker.of("conversation.item.added")]


class Held:
    """Answers `wait` only when it is let go, and all else at once."""

    def __init__(self) -> None:
        self.let_go = threading.Event()

    def __call__(self, messages: list[Message]) -> str:
        if messages[-1].text == "wait":
            self.let_go.wait()
        return "Here it is."


@pytest.fixture
def held() -> Iterator[Held]:
    reply = Held()
    yield reply
    reply.let_go.set()


def in_threads(name: str, slots: int) -> Threads:
    return Threads(name, slots)


@pytest.mark.asyncio
async def test_responses_may_go_on_beside_the_conversations_own(running: Any, talk: Any, held: Held) -> None:
    engine = scripted_engine(Script(reply=held), runner=in_threads)
    async with running(engine) as server, talk(server) as talker:
        await talker.send("response.create", response={**ASIDE, "input": [user("wait")], "metadata": {"n": "aside"}})
        aside = (await talker.until("response.created"))["response"]["id"]
        await talker.ask()
        own = (await talker.until("response.done"))["response"]
        assert (own["metadata"], own["status"]) == (None, "completed")
        held.let_go.set()
        done = (await talker.until("response.done"))["response"]
        assert (done["id"], done["status"], done["metadata"]) == (aside, "completed", {"n": "aside"})


@pytest.mark.asyncio
async def test_a_response_beside_the_conversation_is_cancelled_by_its_id(running: Any, talk: Any, held: Held) -> None:
    engine = scripted_engine(Script(reply=held), runner=in_threads)
    async with running(engine) as server, talk(server) as talker:
        await talker.send("response.create", response={**ASIDE, "input": [user("wait")]})
        aside = (await talker.until("response.created"))["response"]["id"]
        await talker.send("response.cancel")
        assert (await talker.until("error"))["error"]["code"] == "response_cancel_not_active"
        await talker.send("response.cancel", response_id=aside)
        done = (await talker.until("response.done"))["response"]
        assert (done["id"], done["status_details"]["reason"]) == (aside, "client_cancelled")
        held.let_go.set()
        await talker.send("response.create")
        assert (await talker.until("response.done"))["response"]["status"] == "completed"


@pytest.mark.asyncio
async def test_too_many_beside_the_conversation_are_refused(running: Any, talk: Any, held: Held) -> None:
    engine = scripted_engine(Script(reply=held), runner=in_threads)
    async with running(engine) as server, talk(server) as talker:
        for _ in range(MOST_AT_ONCE):
            await talker.send("response.create", response={**ASIDE, "input": [user("wait")]})
            await talker.until("response.created")
        await talker.send("response.create", response=ASIDE, event_id="one too many")
        error = (await talker.until("error"))["error"]
        assert (error["code"], error["event_id"]) == ("too_many_responses", "one too many")
        held.let_go.set()
        for _ in range(MOST_AT_ONCE):
            await talker.until("response.done")


@pytest.mark.asyncio
async def test_silence_after_a_reply_brings_the_next(running: Any, talk: Any, question: Any) -> None:
    prompts = Prompts("Hello.", "Still there?")
    turns = {"type": "server_vad", "idle_timeout_ms": 1_000}
    async with running(scripted_engine(Script(reply=prompts))) as server, talk(server) as talker:
        session = await talker.update(audio={"input": {"turn_detection": turns}})
        assert session["audio"]["input"]["turn_detection"]["idle_timeout_ms"] == 1_000
        await talker.ask()
        await talker.until("response.done")
        await asyncio.sleep(0.4)  # the reply, of 0.3 s, is played
        await talker.append(bytes(2 * 24_000 * 2))
        timeout = await talker.until("input_audio_buffer.timeout_triggered")
        await talker.until("response.done")
    assert timeout["audio_end_ms"] - timeout["audio_start_ms"] == pytest.approx(1_000, abs=40)
    told = talker.types()
    assert told[told.index("input_audio_buffer.timeout_triggered") :][:6] == [
        "input_audio_buffer.timeout_triggered",
        "input_audio_buffer.committed",
        "conversation.item.added",
        "conversation.item.done",
        "conversation.item.input_audio_transcription.completed",
        "response.created",
    ]
    assert talker.of("input_audio_buffer.committed")[-1]["item_id"] == timeout["item_id"]
    assert talker.of("conversation.item.input_audio_transcription.completed")[-1]["transcript"] == ""
