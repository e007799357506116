"""Pipecat's OpenAI realtime service as it is, against a real server. It takes any error but three for the end of its
connection. It cannot be installed beside the rest: `tox -e pipecat` runs this in an environment of its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from pipeline.lm.base import Message, ToolCall
from pipeline.testing import Prompts, Script, scripted_engine

pytest.importorskip("pipecat", reason="it cannot be installed beside the rest; `tox -e pipecat` runs it")

from pipecat.frames.frames import (
    ErrorFrame,
    Frame,
    InputAudioRawFrame,
    LLMRunFrame,
    TTSAudioRawFrame,
    UserStartedSpeakingFrame,
    UserStoppedSpeakingFrame,
)
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineWorker
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.aggregators.llm_response_universal import LLMContextAggregatorPair
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.services.llm_service import FunctionCallParams
from pipecat.services.openai.realtime import events
from pipecat.services.openai.realtime.llm import OpenAIRealtimeLLMService
from pipecat.workers.runner import WorkerRunner

RATE_HZ = 24_000
FRAME_BYTES = 2 * RATE_HZ // 50
WEATHER = {
    "type": "function",
    "name": "weather",
    "description": "The weather of a city.",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
}


class Sink(FrameProcessor):
    """Keeps what comes out of the service."""

    def __init__(self) -> None:
        super().__init__()
        self.frames: list[Frame] = []

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        self.frames.append(frame)
        await self.push_frame(frame, direction)


class Meeting:
    def __init__(self, worker: PipelineWorker, sink: Sink, received: list[Any]) -> None:
        self.worker = worker
        self.sink = sink
        self.received = received

    def all(self, kind: str) -> list[Any]:
        return [event for event in self.received if event.type == kind]

    async def until(self, kind: str, count: int = 1) -> Any:
        async with asyncio.timeout(20):
            while len(self.all(kind)) < count:
                await asyncio.sleep(0.01)
        return self.all(kind)[count - 1]

    async def say(self, pcm: bytes) -> None:
        for start in range(0, len(pcm), FRAME_BYTES):
            frame = InputAudioRawFrame(pcm[start : start + FRAME_BYTES], RATE_HZ, 1)
            await self.worker.queue_frame(frame)


@asynccontextmanager
async def meeting(server: Any, monkeypatch: pytest.MonkeyPatch, turn_detection: Any = None) -> AsyncIterator[Meeting]:
    received: list[Any] = []

    def parse(message: str) -> Any:
        event = parse_server_event(message)
        received.append(event)
        return event

    parse_server_event = events.parse_server_event
    monkeypatch.setattr(events, "parse_server_event", parse)
    audio_input = events.AudioInput(transcription=events.InputAudioTranscription(), turn_detection=turn_detection)
    properties = events.SessionProperties(
        audio=events.AudioConfiguration(input=audio_input), tools=[WEATHER], instructions="Be brief."
    )
    llm = OpenAIRealtimeLLMService(
        api_key="none",
        base_url=f"ws://127.0.0.1:{server.port}/v1/realtime",
        settings=OpenAIRealtimeLLMService.Settings(model="gpt-realtime", session_properties=properties),
    )

    async def weather(params: FunctionCallParams) -> None:
        await params.result_callback(f"rain in {params.arguments['city']}")

    llm.register_function("weather", weather)
    pair = LLMContextAggregatorPair(LLMContext())
    sink = Sink()
    worker = PipelineWorker(Pipeline([pair.user(), llm, sink, pair.assistant()]), cancel_on_idle_timeout=False)
    runner = WorkerRunner(handle_sigint=False)
    await runner.add_workers(worker)
    running = asyncio.create_task(runner.run())
    met = Meeting(worker, sink, received)
    try:
        await met.until("session.updated")
        # As its examples do: the assistant speaks first.
        await worker.queue_frame(LLMRunFrame())
        await met.until("response.done")
        await asyncio.sleep(0.5)  # the greeting is played
        yield met
        assert not met.all("error")
        assert not [frame for frame in sink.frames if isinstance(frame, ErrorFrame)]
    finally:
        await worker.cancel()
        await running


@pytest.mark.asyncio
async def test_a_conversation_of_two_turns(
    running: Any, question: Callable[[int], bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    prompts = Prompts("Hello.", "First.", "Second.")
    async with (
        running(scripted_engine(Script(heard=["one", "two"], reply=prompts))) as server,
        meeting(server, monkeypatch) as met,
    ):
        for turn in (2, 3):
            await met.say(question(RATE_HZ))
            await met.until("response.done", turn)
            await asyncio.sleep(0.5)  # the reply is played
        audio = b"".join(frame.audio for frame in met.sink.frames if isinstance(frame, TTSAudioRawFrame))
        assert len(audio) == pytest.approx(2 * RATE_HZ * 0.05 * len("Hello.First.Second."), abs=8)
    assert prompts.last() == [("assistant", "Hello."), ("user", "one"), ("assistant", "First."), ("user", "two")]


@pytest.mark.asyncio
async def test_a_caller_who_speaks_interrupts(
    running: Any, question: Callable[..., bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    prompts = Prompts("Hello.", "This is a long reply. " * 10, "Yes?")
    async with (
        running(scripted_engine(Script(heard=["tell me", "stop"], reply=prompts))) as server,
        meeting(server, monkeypatch) as met,
    ):
        await met.say(question(RATE_HZ))
        await met.until("response.output_audio.delta", 15)
        await met.say(question(RATE_HZ, speech_s=1.2))
        done = await met.until("response.done", 2)
        assert done.response.status_details["reason"] == "turn_detected"
        await met.until("response.done", 3)
        await asyncio.sleep(0.5)
        assert met.all("conversation.item.truncated")
    (_, heard) = [text for role, text in prompts.last() if role == "assistant"]
    assert heard.startswith("This is a")
    assert len(heard) < len("This is a long reply. " * 4)


@pytest.mark.asyncio
async def test_a_function_is_called_and_its_result_spoken(
    running: Any, question: Callable[[int], bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    call = ToolCall("call_1", "weather", '{"city": "Paris"}')
    prompts = Prompts("Hello.", [call], "It rains.")
    async with (
        running(scripted_engine(Script(heard=["how is it"], reply=prompts))) as server,
        meeting(server, monkeypatch) as met,
    ):
        await met.say(question(RATE_HZ))
        await met.until("response.done", 3)
    assert prompts.seen[-1][2:] == [
        Message("user", "how is it"),
        Message("assistant", "", calls=(call,)),
        Message("tool", '"rain in Paris"', call_id="call_1"),
    ]


@pytest.mark.asyncio
async def test_push_to_talk(running: Any, question: Callable[[int], bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    prompts = Prompts("Hello.", "Understood.")
    async with (
        running(scripted_engine(Script(heard=["pushed"], reply=prompts))) as server,
        meeting(server, monkeypatch, turn_detection=False) as met,
    ):
        await met.worker.queue_frame(UserStartedSpeakingFrame())
        await met.say(question(RATE_HZ))
        await asyncio.sleep(0.5)
        await met.worker.queue_frame(UserStoppedSpeakingFrame())
        await met.until("response.done", 2)
        assert not met.all("input_audio_buffer.speech_started")
    assert prompts.last() == [("assistant", "Hello."), ("user", "pushed")]
