"""LiveKit's agents with the realtime model of its OpenAI plugin, as they are, against a real server."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from pipeline.lm.base import Message, ToolCall
from pipeline.testing import Prompts, Script, scripted_engine

pytest.importorskip("livekit.plugins.openai", reason="`pip install 's2s-gate[clients]'` brings the clients")

from livekit import rtc
from livekit.agents import Agent, AgentSession, function_tool
from livekit.agents.voice.io import AudioInput, AudioOutput, AudioOutputCapabilities
from livekit.plugins.openai.realtime import RealtimeModel

RATE_HZ = 24_000
FRAME_BYTES = 2 * RATE_HZ // 50


class Microphone(AudioInput):
    """Gives what it is given, and silence otherwise, in frames of 20 ms, in real time."""

    def __init__(self) -> None:
        super().__init__(label="microphone")
        self._recorded = bytearray()

    def hear(self, pcm: bytes) -> None:
        self._recorded += pcm

    async def __anext__(self) -> rtc.AudioFrame:
        await asyncio.sleep(0.02)
        pcm = bytes(self._recorded[:FRAME_BYTES])
        del self._recorded[:FRAME_BYTES]
        return rtc.AudioFrame(pcm.ljust(FRAME_BYTES, b"\0"), RATE_HZ, 1, FRAME_BYTES // 2)


class Loudspeaker(AudioOutput):
    """Plays in real time what is captured, segment by segment, and tells how far it has come."""

    def __init__(self) -> None:
        super().__init__(label="loudspeaker", capabilities=AudioOutputCapabilities(pause=False), sample_rate=RATE_HZ)
        self.played_s = 0.0
        self._captured_s = 0.0
        self._began_s = 0.0
        self._ending: asyncio.TimerHandle | None = None

    async def capture_frame(self, frame: rtc.AudioFrame) -> None:
        await super().capture_frame(frame)
        if not self._captured_s:
            self._began_s = asyncio.get_running_loop().time()
            self.on_playback_started(created_at=time.time())
        self._captured_s += frame.duration

    def flush(self) -> None:
        super().flush()
        if self._captured_s:
            ends_s = self._began_s + self._captured_s
            self._ending = asyncio.get_running_loop().call_at(ends_s, self._finish, self._captured_s, False)

    def clear_buffer(self) -> None:
        if self._ending is not None:
            self._ending.cancel()
        if self._captured_s:
            played_s = min(asyncio.get_running_loop().time() - self._began_s, self._captured_s)
            self._finish(played_s, True)

    def _finish(self, played_s: float, interrupted: bool) -> None:
        self.played_s += played_s
        self._captured_s = 0.0
        self.on_playback_finished(playback_position=played_s, interrupted=interrupted)


class Meeting:
    def __init__(self, session: AgentSession) -> None:
        self.session = session
        self.microphone = Microphone()
        self.loudspeaker = Loudspeaker()
        self.server_events: list[dict[str, Any]] = []

    def all(self, kind: str) -> list[dict[str, Any]]:
        return [event for event in self.server_events if event["type"] == kind]

    async def until(self, kind: str, count: int = 1) -> dict[str, Any]:
        async with asyncio.timeout(20):
            while len(self.all(kind)) < count:
                assert not self.all("error"), self.all("error")
                await asyncio.sleep(0.01)
        return self.all(kind)[count - 1]

    async def silence(self) -> None:
        """Until the loudspeaker has played all."""
        async with asyncio.timeout(20):
            while self.session.agent_state not in ("listening", "idle"):
                await asyncio.sleep(0.01)

    def said(self) -> list[tuple[str, str]]:
        """The framework's own history."""
        items = self.session.history.items
        return [(item.role, item.text_content or "") for item in items if item.type == "message"]


class Helper(Agent):
    def __init__(self) -> None:
        super().__init__(instructions="Be brief.")

    @function_tool
    async def weather(self, city: str) -> str:
        """The weather of a city."""
        return f"rain in {city}"


@asynccontextmanager
async def meeting(server: Any, **options: Any) -> AsyncIterator[Meeting]:
    model = RealtimeModel(base_url=f"http://127.0.0.1:{server.port}/v1", api_key="none", **options)
    session: AgentSession = AgentSession(llm=model, vad=None, aec_warmup_duration=None)
    met = Meeting(session)
    make = model.session

    def watched(**kwargs: Any) -> Any:
        realtime = make(**kwargs)
        realtime.on("openai_server_event_received", met.server_events.append)
        return realtime

    model.session = watched  # type: ignore[method-assign]  # the one place where the events of the server are seen
    session.input.audio = met.microphone
    session.output.audio = met.loudspeaker
    await session.start(Helper())
    try:
        await met.until("session.updated")
        yield met
        assert not met.all("error")
    finally:
        await session.aclose()
        await model.aclose()


@pytest.mark.asyncio
async def test_a_conversation_of_two_turns(running: Any, question: Callable[[int], bytes]) -> None:
    prompts = Prompts("First.", "Second.")
    async with (
        running(scripted_engine(Script(heard=["one", "two"], reply=prompts))) as server,
        meeting(server) as met,
    ):
        for turn in (1, 2):
            met.microphone.hear(question(RATE_HZ))
            await met.until("response.done", turn)
            await asyncio.sleep(0.5)
            await met.silence()
        assert met.said() == [("user", "one"), ("assistant", "First."), ("user", "two"), ("assistant", "Second.")]
        assert met.loudspeaker.played_s == pytest.approx(0.05 * len("First.Second."), abs=0.05)
    assert prompts.last() == [("user", "one"), ("assistant", "First."), ("user", "two")]


@pytest.mark.asyncio
async def test_a_caller_who_speaks_interrupts(running: Any, question: Callable[..., bytes]) -> None:
    prompts = Prompts("This is a long reply. " * 10, "Yes?")
    async with (
        running(scripted_engine(Script(heard=["tell me", "stop"], reply=prompts))) as server,
        meeting(server) as met,
    ):
        met.microphone.hear(question(RATE_HZ))
        await met.until("response.output_audio.delta", 10)
        met.microphone.hear(question(RATE_HZ, speech_s=1.2))
        done = (await met.until("response.done"))["response"]
        assert done["status_details"] == {"type": "cancelled", "reason": "turn_detected"}
        await met.until("response.done", 2)
        await asyncio.sleep(0.5)
    (heard,) = [text for role, text in prompts.last() if role == "assistant"]
    assert heard.startswith("This is a long reply.")
    assert len(heard) < len("This is a long reply. " * 4)


@pytest.mark.asyncio
async def test_a_function_is_called_and_its_result_spoken(running: Any, question: Callable[[int], bytes]) -> None:
    call = ToolCall("call_1", "weather", '{"city": "Paris"}')
    prompts = Prompts([call], "It rains.")
    async with (
        running(scripted_engine(Script(heard=["how is it"], reply=prompts))) as server,
        meeting(server) as met,
    ):
        met.microphone.hear(question(RATE_HZ))
        done = (await met.until("response.done", 2))["response"]
        assert done["output"][0]["content"][0]["transcript"] == "It rains."
        await asyncio.sleep(0.5)
        await met.silence()
        assert met.said()[-1] == ("assistant", "It rains.")
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
        meeting(server, turn_detection=None) as met,
    ):
        met.microphone.hear(question(RATE_HZ))
        await asyncio.sleep(1.5)
        met.session.commit_user_turn()
        await met.until("response.done")
        await asyncio.sleep(0.5)
        await met.silence()
        assert met.said() == [("user", "pushed"), ("assistant", "Understood.")]
        assert not met.all("input_audio_buffer.speech_started")
    assert prompts.last() == [("user", "pushed")]
