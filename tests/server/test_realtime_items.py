"""The list of items, and the language model's memory, which follows it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from pipeline.testing import Prompts, Script, scripted_engine

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
