"""The `openai` SDK as it is, against a real server."""

from __future__ import annotations

import asyncio
import base64
from typing import Any

import pytest
from openai import AsyncOpenAI
from openai.resources.realtime.realtime import AsyncRealtimeConnection

from pipeline.testing import Script, scripted_engine

FRAME_BYTES = 2 * 480


async def ask(connection: AsyncRealtimeConnection, pcm: bytes) -> tuple[str, str, bytes]:
    """Stream one question; what was heard, what was said, and the audio of it."""
    for start in range(0, len(pcm), FRAME_BYTES):
        await connection.input_audio_buffer.append(audio=base64.b64encode(pcm[start : start + FRAME_BYTES]).decode())
    heard, said, audio = "", "", b""
    async with asyncio.timeout(20):
        async for event in connection:
            match event.type:
                case "conversation.item.input_audio_transcription.completed":
                    heard = event.transcript
                case "response.output_audio_transcript.delta":
                    said += event.delta
                case "response.output_audio.delta":
                    audio += base64.b64decode(event.delta)
                case "response.done":
                    return heard, said, audio
    raise AssertionError("the server closed before the response was done")


@pytest.mark.asyncio
async def test_it_holds_a_spoken_conversation(running: Any, question: Any) -> None:
    engine = scripted_engine(
        Script(heard=["one", "two"], reply=lambda messages: " ".join(m.text for m in messages[1:]))
    )
    async with running(engine) as server:
        client = AsyncOpenAI(base_url=f"http://127.0.0.1:{server.port}/v1", api_key="none")
        async with client.realtime.connect(model="gpt-realtime") as connection:
            assert (await connection.recv()).type == "session.created"
            await connection.session.update(
                session={
                    "type": "realtime",
                    "instructions": "Be brief.",
                    "audio": {
                        "input": {"transcription": {"model": "whisper-1"}, "turn_detection": {"type": "server_vad"}},
                        "output": {"voice": "marin"},
                    },
                }
            )
            updated = await connection.recv()
            assert updated.type == "session.updated"
            assert updated.session.audio.output.voice == "marin"
            first = await ask(connection, question(24_000))
            await asyncio.sleep(0.2)  # the answer, of 0.15 s, is played
            second = await ask(connection, question(24_000))
    assert first[:2] == ("one", "one")
    assert second[:2] == ("two", "one one two")
    assert len(second[2]) == pytest.approx(2 * 24_000 * 0.05 * len("one one two"), abs=4)
