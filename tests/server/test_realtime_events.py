"""Every event that the documentation says the server tells is told, and no other; all of them pass the SDK's schema."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import pytest

from pipeline.lm.base import ToolCall
from pipeline.testing import Prompts, Script, scripted_engine
from server.realtime.parse import EVENT_TYPES

ROOT = Path(__file__).parents[2]


def documented(section: str) -> set[str]:
    """The events in the first column of the table below a heading."""
    text = (ROOT / "docs" / "protocols.md").read_text(encoding="utf-8")
    table = text.split(f"### {section}\n", 1)[1].strip().split("\n\n", 1)[0]
    first_columns = [row.split("|")[1] for row in table.splitlines()[2:]]
    return {name for column in first_columns for name in re.findall(r"`([a-z_.]+)`", column)}


@pytest.mark.asyncio
async def test_one_conversation_has_them_all(running: Any, talk: Any, question: Any) -> None:
    prompts = Prompts("Hello there. How are you?", [ToolCall("c", "look", "{}")], "Still there?", "In text.")
    script = Script(heard=["hello", RuntimeError("no"), "look"], reply=prompts)
    turns = {"type": "server_vad", "idle_timeout_ms": 1_000}
    async with running(scripted_engine(script)) as server, talk(server) as talker:
        await talker.update(audio={"input": {"turn_detection": turns}})
        await talker.ask()
        spoken = (await talker.until("response.done"))["response"]["output"][0]["id"]
        await talker.send("conversation.item.truncate", item_id=spoken, content_index=0, audio_end_ms=600)
        await talker.until("conversation.item.truncated")
        await talker.send("conversation.item.retrieve", item_id=spoken)
        await talker.until("conversation.item.retrieved")
        await talker.send("conversation.item.delete", item_id=spoken)
        await talker.until("conversation.item.deleted")
        await asyncio.sleep(0.5)  # what was sent of the reply has been played
        await talker.ask()
        await talker.until("conversation.item.input_audio_transcription.failed")
        await talker.ask()
        await talker.until("response.done")
        await talker.append(bytes(2 * 24_000 * 2))
        await talker.until("input_audio_buffer.timeout_triggered")
        await talker.until("response.done")
        await talker.send("input_audio_buffer.clear")
        await talker.until("input_audio_buffer.cleared")
        await talker.send("response.create", response={"output_modalities": ["text"]})
        await talker.until("response.done")
        await talker.send("response.cancel")
        await talker.until("error")
    assert {message["type"] for message in talker.heard} == documented("What the server tells")


def test_every_event_of_a_client_is_documented() -> None:
    assert documented("What a client may send") == set(EVENT_TYPES)
