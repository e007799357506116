"""The `openai-agents` SDK as it is, against a real server: it validates every event strictly."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from pipeline.lm.base import Message, ToolCall
from pipeline.testing import Prompts, Script, scripted_engine

pytest.importorskip("agents", reason="`pip install 's2s-gate[clients]'` brings the clients")

from agents import function_tool
from agents.realtime import RealtimeAgent, RealtimeRunner
from agents.realtime.config import RealtimeSessionModelSettings
from agents.realtime.model_inputs import RealtimeModelRawClientMessage, RealtimeModelSendRawMessage
from agents.realtime.session import RealtimeSession

FRAME_BYTES = 2 * 480


@function_tool
def weather(city: str) -> str:
    """The weather of a city."""
    return f"rain in {city}"


class Agent:
    """Listens to a session; whatever the SDK calls an error fails the test."""

    def __init__(self, session: RealtimeSession) -> None:
        self.session = session
        self.events: list[Any] = []
        self._news = asyncio.Condition()

    async def listen(self) -> None:
        async for event in self.session:
            async with self._news:
                self.events.append(event)
                self._news.notify_all()

    def count(self, kind: str) -> int:
        return sum(event.type == kind for event in self.events)

    async def until(self, kind: str, count: int = 1) -> None:
        async with asyncio.timeout(20), self._news:
            await self._news.wait_for(lambda: self.count(kind) >= count or self.count("error"))
        assert not self.count("error"), [event for event in self.events if event.type == "error"]

    async def say(self, pcm: bytes) -> None:
        for start in range(0, len(pcm), FRAME_BYTES):
            await self.session.send_audio(pcm[start : start + FRAME_BYTES])

    def raw(self, kind: str) -> list[dict[str, Any]]:
        """What the server sent of one kind."""
        raw = (event.data for event in self.events if event.type == "raw_model_event")
        return [event.data for event in raw if event.type == "raw_server_event" and event.data["type"] == kind]

    def transcripts(self) -> list[tuple[str, str | None]]:
        """The SDK's own history: who said what."""
        items = next(reversed([event.history for event in self.events if event.type == "history_updated"]), [])
        items = [*items, *(event.item for event in self.events if event.type == "history_added")]
        newest = {item.item_id: item for item in items if item.type == "message"}
        newest |= {item.item_id: item for item in self.session._history if item.type == "message"}
        return [(item.role, item.content[0].transcript) for item in newest.values() if item.content]


@asynccontextmanager
async def meeting(server: Any, **settings: Any) -> AsyncIterator[Agent]:
    agent = RealtimeAgent(name="helper", instructions="Be brief.", tools=[weather])
    model_settings: RealtimeSessionModelSettings = {"model_name": "gpt-realtime", "voice": "marin", **settings}
    session = await RealtimeRunner(agent).run(
        model_config={
            "api_key": "none",
            "url": f"ws://127.0.0.1:{server.port}/v1/realtime?model=gpt-realtime",
            "initial_model_settings": model_settings,
        }
    )
    async with session:
        met = Agent(session)
        listening = asyncio.create_task(met.listen())
        try:
            yield met
        finally:
            listening.cancel()


@pytest.mark.asyncio
async def test_a_conversation_of_two_turns(running: Any, question: Callable[[int], bytes]) -> None:
    prompts = Prompts("First.", "Second.")
    async with (
        running(scripted_engine(Script(heard=["one", "two"], reply=prompts))) as server,
        meeting(server) as agent,
    ):
        for turn in (1, 2):
            await agent.say(question(24_000))
            await agent.until("agent_end", turn)
            await agent.until("audio_end", turn)
            await asyncio.sleep(0.5)  # the reply is played
        assert agent.transcripts() == [
            ("user", "one"),
            ("assistant", "First."),
            ("user", "two"),
            ("assistant", "Second."),
        ]
    assert prompts.last() == [("user", "one"), ("assistant", "First."), ("user", "two")]
    assert sum(len(event.audio.data) for event in agent.events if event.type == "audio") > 24_000


@pytest.mark.asyncio
async def test_a_caller_who_speaks_interrupts(running: Any, question: Callable[..., bytes]) -> None:
    prompts = Prompts("This is a long reply. " * 10, "Yes?")
    async with (
        running(scripted_engine(Script(heard=["tell me", "stop"], reply=prompts))) as server,
        meeting(server) as agent,
    ):
        await agent.say(question(24_000))
        await agent.until("audio")
        await asyncio.sleep(1.5)
        await agent.say(question(24_000, speech_s=1.2))
        await agent.until("audio_interrupted")
        await agent.until("agent_end", 2)
        await agent.until("audio_end", 2)
        first = agent.raw("response.done")[0]["response"]
        assert first["status_details"] == {"type": "cancelled", "reason": "turn_detected"}
    (heard,) = [text for role, text in prompts.last() if role == "assistant"]
    assert "This is a long reply." in heard
    assert len(heard) < len("This is a long reply. " * 4)


@pytest.mark.asyncio
async def test_a_function_is_called_and_its_result_spoken(running: Any, question: Callable[[int], bytes]) -> None:
    call = ToolCall("call_1", "weather", '{"city": "Paris"}')
    prompts = Prompts([call], "It rains.")
    async with (
        running(scripted_engine(Script(heard=["how is it"], reply=prompts))) as server,
        meeting(server) as agent,
    ):
        await agent.say(question(24_000))
        await agent.until("tool_end")
        await agent.until("agent_end", 2)
        await agent.until("audio_end")
    assert prompts.seen[-1][1:] == [
        Message("user", "how is it"),
        Message("assistant", "", calls=(call,)),
        Message("tool", "rain in Paris", call_id="call_1"),
    ]


@pytest.mark.asyncio
async def test_push_to_talk(running: Any, question: Callable[[int], bytes]) -> None:
    prompts = Prompts("Understood.")
    async with (
        running(scripted_engine(Script(heard=["pushed"], reply=prompts))) as server,
        meeting(server, turn_detection=None) as agent,
    ):
        await agent.session.send_audio(question(24_000), commit=True)
        create: RealtimeModelRawClientMessage = {"type": "response.create"}
        await agent.session.model.send_event(RealtimeModelSendRawMessage(message=create))
        await agent.until("audio_end")
        await agent.until("agent_end")
        assert not agent.raw("input_audio_buffer.speech_started")
    assert prompts.last() == [("user", "pushed")]


@pytest.mark.asyncio
async def test_typed_text_is_answered_and_an_interruption_by_hand_ends_it(
    running: Any, question: Callable[[int], bytes]
) -> None:
    prompts = Prompts("This is a long reply. " * 10, "Yes?")
    async with running(scripted_engine(Script(reply=prompts))) as server, meeting(server) as agent:
        await agent.session.send_message("hello")
        await agent.until("audio")
        await asyncio.sleep(0.5)
        await agent.session.interrupt()
        await agent.until("audio_interrupted")
        await asyncio.sleep(0.2)
    assert agent.raw("conversation.item.truncated")
    assert prompts.last() == [("user", "hello")]
