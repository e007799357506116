"""The `openai` SDK as it is, against a real server."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from openai import AsyncOpenAI
from openai.resources.realtime.realtime import AsyncRealtimeConnection

from pipeline.lm.base import Message, ToolCall
from pipeline.testing import Prompts, Script, scripted_engine

FRAME_BYTES = 2 * 480
WEATHER: Any = {"type": "function", "name": "weather", "description": "The weather.", "parameters": {"type": "object"}}


@asynccontextmanager
async def connected(server: Any, turn_detection: Any, **session: Any) -> AsyncIterator[AsyncRealtimeConnection]:
    client = AsyncOpenAI(base_url=f"http://127.0.0.1:{server.port}/v1", api_key="none")
    async with client.realtime.connect(model="gpt-realtime") as connection:
        assert (await connection.recv()).type == "session.created"
        audio_input = {"transcription": {"model": "whisper-1"}, "turn_detection": turn_detection}
        audio: Any = {"input": audio_input, "output": {"voice": "marin"}}
        await connection.session.update(session={"type": "realtime", "audio": audio, **session})
        updated = await connection.recv()
        assert updated.type == "session.updated"
        assert updated.session.audio.output.voice == "marin"
        yield connection


async def say(connection: AsyncRealtimeConnection, pcm: bytes) -> None:
    for start in range(0, len(pcm), FRAME_BYTES):
        await connection.input_audio_buffer.append(audio=base64.b64encode(pcm[start : start + FRAME_BYTES]).decode())


async def until(connection: AsyncRealtimeConnection, kind: str) -> list[Any]:
    """All that comes until an event of this kind, which is the last."""
    events: list[Any] = []
    async with asyncio.timeout(20):
        while not events or events[-1].type != kind:
            events.append(await connection.recv())
            assert events[-1].type != "error", events[-1]
    return events


def told(events: list[Any]) -> tuple[str, str, bytes]:
    """What was heard, what was said, and the audio of it."""
    heard = [e.transcript for e in events if e.type == "conversation.item.input_audio_transcription.completed"]
    said = [e.delta for e in events if e.type == "response.output_audio_transcript.delta"]
    audio = [base64.b64decode(e.delta) for e in events if e.type == "response.output_audio.delta"]
    return "".join(heard), "".join(said), b"".join(audio)


@pytest.mark.asyncio
async def test_a_conversation_of_two_turns(running: Any, question: Callable[[int], bytes]) -> None:
    engine = scripted_engine(
        Script(heard=["one", "two"], reply=lambda messages: " ".join(m.text for m in messages[1:]))
    )
    async with running(engine) as server, connected(server, {"type": "server_vad"}) as connection:
        await say(connection, question(24_000))
        first = told(await until(connection, "response.done"))
        await asyncio.sleep(0.2)  # the answer, of 0.15 s, is played
        await say(connection, question(24_000))
        second = told(await until(connection, "response.done"))
    assert first[:2] == ("one", "one")
    assert second[:2] == ("two", "one one two")
    assert len(second[2]) == pytest.approx(2 * 24_000 * 0.05 * len("one one two"), abs=4)


@pytest.mark.asyncio
async def test_a_caller_who_speaks_interrupts(running: Any, question: Callable[..., bytes]) -> None:
    prompts = Prompts("This is a long reply. " * 10, "Yes?")
    engine = scripted_engine(Script(heard=["tell me", "stop"], reply=prompts))
    async with running(engine) as server, connected(server, {"type": "semantic_vad"}) as connection:
        await say(connection, question(24_000))
        (*_, delta) = await until(connection, "response.output_audio.delta")
        await asyncio.sleep(1.5)
        await say(connection, question(24_000, speech_s=1.2))
        (*_, done) = await until(connection, "response.done")
        assert done.response.status_details.reason == "turn_detected"
        # The SDK plays nothing; what its user has played is for that user to say.
        await connection.conversation.item.truncate(item_id=delta.item_id, content_index=0, audio_end_ms=600)
        assert told(await until(connection, "response.done"))[1] == "Yes?"
        await connection.response.create()
        await until(connection, "response.done")
    assert ("assistant", "This is a") in prompts.last()


@pytest.mark.asyncio
async def test_a_function_is_called_and_its_result_spoken(running: Any, question: Callable[[int], bytes]) -> None:
    call = ToolCall("call_1", "weather", '{"city": "Paris"}')
    prompts = Prompts([call], "It rains.")
    engine = scripted_engine(Script(heard=["how is it"], reply=prompts))
    async with running(engine) as server, connected(server, {"type": "server_vad"}, tools=[WEATHER]) as connection:
        await say(connection, question(24_000))
        (*_, called) = await until(connection, "response.function_call_arguments.done")
        assert (called.name, called.arguments) == ("weather", call.arguments)
        await until(connection, "response.done")
        result: Any = {"type": "function_call_output", "call_id": called.call_id, "output": "rain"}
        await connection.conversation.item.create(item=result)
        await connection.response.create()
        assert told(await until(connection, "response.done"))[1] == "It rains."
    assert prompts.seen[-1][1:] == [
        Message("user", "how is it"),
        Message("assistant", "", calls=(call,)),
        Message("tool", "rain", call_id="call_1"),
    ]


@pytest.mark.asyncio
async def test_push_to_talk(running: Any, question: Callable[[int], bytes]) -> None:
    engine = scripted_engine(Script(heard=["pushed"], reply=lambda messages: f"{messages[-1].text}!"))
    async with running(engine) as server, connected(server, None) as connection:
        await say(connection, question(24_000))
        await connection.input_audio_buffer.commit()
        await connection.response.create()
        events = await until(connection, "response.done")
    assert told(events)[:2] == ("pushed", "pushed!")
    assert not [event for event in events if event.type == "input_audio_buffer.speech_started"]
