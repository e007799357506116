"""The list of items, and the language model's memory, which follows it."""

from __future__ import annotations

import asyncio
import base64
import math
from typing import Any

import pytest

from pipeline.languages import Language
from pipeline.testing import Prompts, Script, scripted_engine
from server.realtime.errors import ProtocolError
from server.realtime.items import Item, Items

NO_TURN_DETECTION = {"input": {"turn_detection": None}}


async def write(talker: Any, text: str, **fields: Any) -> None:
    content = [{"type": "input_text", "text": text}]
    item = {"type": "message", "role": "user", "id": text, "content": content}
    await talker.send("conversation.item.create", item=item, **fields)
    await talker.until("conversation.item.done")


async def answer(talker: Any) -> dict[str, Any]:
    await talker.send("response.create")
    response: dict[str, Any] = (await talker.until("response.done"))["response"]
    return response


@pytest.mark.asyncio
async def test_what_is_inserted_is_seen_where_it_stands(running: Any, talk: Any) -> None:
    prompts = Prompts("Fine.")
    async with running(scripted_engine(Script(reply=prompts))) as server, talk(server) as talker:
        await write(talker, "two")
        await write(talker, "four")
        await write(talker, "three", previous_item_id="two")
        await write(talker, "one", previous_item_id="root")
        await write(talker, "five")
        await answer(talker)
    assert [text for _, text in prompts.last()] == ["one", "two", "three", "four", "five"]
    assert [message["previous_item_id"] for message in talker.of("conversation.item.added")[:5]] == [
        None,
        "two",
        "two",
        None,
        "four",
    ]


@pytest.mark.asyncio
async def test_what_is_deleted_is_forgotten(running: Any, talk: Any) -> None:
    prompts = Prompts("One.", "Two.")
    async with running(scripted_engine(Script(reply=prompts))) as server, talk(server) as talker:
        await write(talker, "first")
        await write(talker, "second")
        await talker.send("conversation.item.delete", item_id="first")
        spoken = (await answer(talker))["output"][0]["id"]
        await talker.send("conversation.item.delete", item_id=spoken)
        await answer(talker)
    assert prompts.last() == [("user", "second")]


@pytest.mark.asyncio
async def test_a_turn_that_is_deleted_before_it_is_understood_is_forgotten_too(
    running: Any, talk: Any, question: Any
) -> None:
    prompts = Prompts("Fine.")
    engine = scripted_engine(Script(heard=["forget this", "hello"], reply=prompts, hearing_s=0.2))
    async with running(engine) as server, talk(server) as talker:
        await talker.update(audio=NO_TURN_DETECTION)
        for _ in range(2):
            await talker.append(question(24_000))
            await talker.send("input_audio_buffer.commit")
        item_id = (await talker.until("input_audio_buffer.committed"))["item_id"]
        await talker.send("conversation.item.delete", item_id=item_id)
        await answer(talker)
    assert prompts.last() == [("user", "hello")]


@pytest.mark.asyncio
async def test_what_is_written_behind_a_turn_is_seen_behind_it(running: Any, talk: Any, question: Any) -> None:
    prompts = Prompts("Fine.")
    engine = scripted_engine(Script(heard=["spoken"], reply=prompts, hearing_s=0.2))
    async with running(engine) as server, talk(server) as talker:
        await talker.update(audio=NO_TURN_DETECTION)
        await talker.append(question(24_000))
        await talker.send("input_audio_buffer.commit")
        await talker.until("input_audio_buffer.committed")
        await write(talker, "written")
        await answer(talker)
    assert prompts.last() == [("user", "spoken"), ("user", "written")]


@pytest.mark.asyncio
async def test_of_a_reply_under_way_what_was_heard_is_kept_and_no_more(running: Any, talk: Any) -> None:
    prompts = Prompts("Hello there. And again, and once more.", "Fine.")
    async with running(scripted_engine(Script(reply=prompts))) as server, talk(server) as talker:
        await talker.send("response.create")
        item_id = (await talker.until("response.content_part.added"))["item_id"]
        for _ in range(2):
            await talker.until("response.output_audio_transcript.delta")
        # The first clause takes 12 characters of 50 ms.
        await talker.send("conversation.item.truncate", item_id=item_id, content_index=0, audio_end_ms=610)
        done = (await talker.until("response.done"))["response"]
        assert talker.of("conversation.item.truncated")
        assert done["output"][0]["content"][0]["transcript"].strip() == "Hello there."
        await asyncio.sleep(0.5)
        await answer(talker)
    assert prompts.last() == [("assistant", "Hello there.")]


@pytest.mark.asyncio
async def test_who_rounds_up_the_length_of_the_audio_is_understood(running: Any, talk: Any) -> None:
    # At this speed the audio is 1,166.67 ms long.
    engine = scripted_engine(Script(reply=lambda messages: "Two clauses, then, all heard."))
    async with running(engine) as server, talk(server) as talker:
        await talker.update(audio={"output": {"speed": 1.2}})
        item = (await answer(talker))["output"][0]
        octets = sum(len(base64.b64decode(delta["delta"])) for delta in talker.of("response.output_audio.delta"))
        length_ms = math.ceil(octets / 48)
        assert octets / 48 < length_ms
        fields = {"item_id": item["id"], "content_index": 0}
        await talker.send("conversation.item.truncate", audio_end_ms=length_ms + 1, **fields)
        assert (await talker.until("error"))["error"]["param"] == "audio_end_ms"
        await talker.send("conversation.item.truncate", audio_end_ms=length_ms, **fields)
        await talker.until("conversation.item.truncated")
        await talker.send("conversation.item.retrieve", item_id=item["id"])
        kept = (await talker.until("conversation.item.retrieved"))["item"]
    assert kept["content"] == item["content"]


@pytest.mark.parametrize(
    ("language", "clauses", "heard_ms", "heard"),
    [
        (Language.EN, ["One two three four, ", "five six."], 0, ""),
        (Language.EN, ["One two three four, ", "five six."], 510, "One two"),
        (Language.EN, ["One two three four, ", "five six."], 999, "One two three four, "),
        (Language.EN, ["One two three four, ", "five six."], 1_500, "One two three four, five"),
        (Language.EN, ["One two three four, ", "five six."], 2_000, "One two three four, five six."),
        (Language.JA, ["一二三四、"], 700, "一二三"),
    ],
)
def test_of_the_clause_that_was_cut_the_words_that_were_heard_are_kept(
    language: Language, clauses: list[str], heard_ms: int, heard: str
) -> None:
    """Each clause is one second long."""
    items = Items(500, 2**20)
    part = {"type": "output_audio", "transcript": "".join(clauses)}
    ends = [(text, 24_000 * (number + 1)) for number, text in enumerate(clauses)]
    fields = {"role": "assistant", "content": [part]}
    items.append(Item("spoken", "message", fields, clauses=ends, language=language))
    item, text = items.truncate("spoken", 0, heard_ms)
    assert text == item.content[0]["transcript"] == heard
    with pytest.raises(ProtocolError, match="audio_end_ms"):
        items.truncate("spoken", 0, heard_ms + 100)
