"""The cascade in this very process, without a socket: the one target that knows the pipeline."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import asdict
from importlib import metadata

from client.connection import say_nothing
from harness.targets.base import (
    Failed,
    Heard,
    ReplyAudio,
    ReplyEnded,
    ServerEvent,
    Session,
    SpeechStarted,
    Spoken,
    UnavailableError,
)
from pipeline import events
from pipeline.audio import INPUT_RATE_HZ, OUTPUT_RATE_HZ, float_to_pcm16, pcm16_to_float
from pipeline.conversation import Conversation
from pipeline.engine import Engine
from pipeline.languages import Language, parse_language
from pipeline.model_process import ModelProcessError
from pipeline.profiles import load_profile
from pipeline.settings import ConversationSettings
from pipeline.weights import WeightsError, WeightStore


class InProcessTarget:
    """Conversations on an engine that somebody else closes."""

    name = "in-process"
    input_rate_hz = INPUT_RATE_HZ
    output_rate_hz = OUTPUT_RATE_HZ

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @asynccontextmanager
    async def connect(self, language: str) -> AsyncIterator[Session]:
        spoken = parse_language(language)
        settings = ConversationSettings(languages=(spoken,) if spoken else tuple(Language))
        async with Conversation(self._engine, settings) as conversation:
            yield _InProcessSession(conversation)

    async def describe(self) -> dict[str, str]:
        profile = self._engine.profile
        engines = {f"lm.{language}": name for language, name in profile.language_model.engines.items()}
        return {
            "version": metadata.version("s2s-gate"),
            "profile": profile.name,
            "stt": profile.described(profile.speech_to_text.engine),
        } | engines


class _InProcessSession:
    def __init__(self, conversation: Conversation) -> None:
        self._conversation = conversation

    async def send(self, pcm16: bytes) -> None:
        await self._conversation.feed(pcm16_to_float(pcm16))

    async def events(self) -> AsyncIterator[ServerEvent]:
        async for event in self._conversation.events():
            if told := _translate(event):
                yield told


@asynccontextmanager
async def load_embedded(*, on_progress: Callable[[str], None] = say_nothing) -> AsyncIterator[InProcessTarget]:
    """The embedded default, loaded for as long as the context lasts.

    Raises (on entering):
        UnavailableError: packages or weights are missing.
    """
    try:
        engine = await Engine.load(
            load_profile("embedded"), WeightStore(), on_loading=lambda what: on_progress(f"loading {what}")
        )
    except (ImportError, ModelProcessError, WeightsError) as error:
        raise UnavailableError(f"the embedded server cannot be loaded: {error}") from error
    try:
        yield InProcessTarget(engine)
    finally:
        await engine.aclose()


def _translate(event: events.Event) -> ServerEvent | None:
    match event:
        case events.SpeechStarted():
            return SpeechStarted()
        case events.Transcribed(text=text):
            return Heard(text)
        case events.ReplyText(text=text):
            return Spoken(text)
        case events.ReplyAudio(samples_24k=samples):
            return ReplyAudio(float_to_pcm16(samples))
        case events.TurnFailed(stage=stage, reason=reason):
            return Failed(f"{stage.replace('_', ' ')}: {reason}")
        case events.ReplyDone(trace=trace, status=status):
            told = {stage: at_s for stage, at_s in asdict(trace).items() if at_s is not None}
            return ReplyEnded(told, cancelled=status == "cancelled")
    return None
