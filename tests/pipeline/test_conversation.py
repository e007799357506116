"""One caller, with scripted models: turns, replies, interruptions and failures, in the order events promise."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import TypeVar

import numpy as np
import pytest

from pipeline.audio import INPUT_RATE_HZ, FloatArray
from pipeline.conversation import (
    AudioBufferFullError,
    Conversation,
    ConversationSettings,
    NothingToCommitError,
    ReplyActiveError,
)
from pipeline.engine import Engine
from pipeline.events import (
    Event,
    ReplyAudio,
    ReplyDone,
    ReplyStarted,
    ReplyText,
    SpeechStarted,
    SpeechStopped,
    Transcribed,
    TurnCommitted,
    TurnEmpty,
    TurnFailed,
)
from pipeline.languages import Language
from pipeline.lm.base import Message
from pipeline.stt.base import Transcript
from pipeline.testing import scripted_engine

E = TypeVar("E")


def speech(seconds: float) -> FloatArray:
    return (0.3 * np.sin(np.arange(int(seconds * INPUT_RATE_HZ)) * 0.1)).astype(np.float32)


def silence(seconds: float) -> FloatArray:
    return np.zeros(int(seconds * INPUT_RATE_HZ), dtype=np.float32)


class Caller:
    """A conversation with somebody who listens to it."""

    def __init__(self, conversation: Conversation) -> None:
        self.conversation = conversation
        self.seen: list[Event] = []
        self._events = conversation.events()

    async def say(self, *pieces: FloatArray) -> None:
        for piece in pieces:
            for start in range(0, piece.size, 320):
                await self.conversation.feed(piece[start : start + 320])

    async def until(self, kind: type[E]) -> E:
        """Fetch events until one of this kind comes."""
        async for event in self._events:
            self.seen.append(event)
            if isinstance(event, kind):
                return event
        raise AssertionError(f"the conversation ended without {kind.__name__}; it said {self.seen}")

    def kinds(self) -> list[str]:
        """The names of what was seen; runs of reply audio as one."""
        names = [type(event).__name__ for event in self.seen]
        return [
            name for name, before in zip(names, ["", *names], strict=False) if name != before or name != "ReplyAudio"
        ]


@asynccontextmanager
async def calling(engine: Engine, settings: ConversationSettings | None = None) -> AsyncIterator[Caller]:
    async with asyncio.timeout(20), Conversation(engine, settings, clock=lambda: 0.0) as conversation:
        yield Caller(conversation)
    await engine.aclose()


@pytest.mark.asyncio
async def test_a_turn_is_heard_and_answered_in_order() -> None:
    async with calling(scripted_engine(heard="what time is it", reply="It is late. Go to bed.")) as caller:
        await caller.say(silence(0.5), speech(1.0), silence(0.6))
        done = await caller.until(ReplyDone)
        heard = next(event for event in caller.seen if isinstance(event, Transcribed))
        committed = next(event for event in caller.seen if isinstance(event, TurnCommitted))
        text = "".join(event.text for event in caller.seen if isinstance(event, ReplyText))
    assert caller.kinds() == [
        "SpeechStarted",
        "SpeechStopped",
        "TurnCommitted",
        "Transcribed",
        "ReplyStarted",
        "ReplyText",
        "ReplyAudio",
        "ReplyText",
        "ReplyAudio",
        "ReplyDone",
    ]
    assert (heard.text, heard.language) == ("what time is it", Language.EN)
    assert (committed.start_s, committed.end_s) == pytest.approx((0.5, 1.5), abs=0.04)
    assert done.status == "completed"
    assert done.text == text == "It is late. Go to bed."


@pytest.mark.asyncio
async def test_the_trace_is_on_the_sample_clock_and_in_order() -> None:
    async with calling(scripted_engine()) as caller:
        await caller.say(silence(0.5), speech(1.0), silence(0.6))
        trace = (await caller.until(ReplyDone)).trace
    assert trace.speech_end_s == pytest.approx(1.5, abs=0.04)
    assert trace.pause_s == pytest.approx(1.66, abs=0.05)
    assert trace.transcript_s is not None
    # The reply is begun on a guess, so the commit may come after any of these.
    assert trace.committed_s == pytest.approx(2.0, abs=0.11)
    times = [trace.transcript_s, trace.first_token_s, trace.first_clause_s, trace.first_sample_s]
    assert None not in times
    assert times == sorted(time for time in times if time is not None)
    assert trace.first_sent_s is None


@pytest.mark.asyncio
async def test_a_pause_for_thought_is_one_turn() -> None:
    async with calling(scripted_engine(completeness=[0.1, 0.1, 1.0])) as caller:
        await caller.say(speech(0.5), silence(0.5))
        await asyncio.sleep(0.05)  # lets the end-of-turn model have its say on the first pause
        await caller.say(speech(0.5), silence(0.5))
        await asyncio.sleep(0.05)
        await caller.say(silence(0.5))
        committed = await caller.until(TurnCommitted)
        await caller.until(ReplyDone)
    assert committed.end_s == pytest.approx(1.5, abs=0.05)
    assert caller.kinds().count("SpeechStarted") == 1


@pytest.mark.asyncio
async def test_a_reply_begun_in_a_pause_that_ends_is_never_heard_of() -> None:
    prompts: list[Sequence[Message]] = []

    def answer(messages: Sequence[Message]) -> str:
        prompts.append(messages)
        return "Yes."

    engine = scripted_engine(heard=["I was", "I was thinking"], reply=answer, completeness=[0.0])
    async with calling(engine) as caller:
        await caller.say(speech(0.5), silence(0.4))
        while not prompts:
            await asyncio.sleep(0)  # until the language model has been asked about the unfinished turn
        await caller.say(speech(0.5), silence(1.2))
        done = await caller.until(ReplyDone)
    assert [prompt[-1].text for prompt in prompts] == ["I was", "I was thinking"]
    assert [message.text for message in prompts[1][1:]] == ["I was thinking"]
    assert caller.kinds().count("Transcribed") == caller.kinds().count("ReplyStarted") == 1
    assert done.status == "completed"


@pytest.mark.asyncio
async def test_silence_ends_a_turn_that_never_sounds_complete() -> None:
    async with calling(scripted_engine(completeness=[0.0])) as caller:
        await caller.say(speech(1.0), silence(1.5))
        await caller.until(TurnCommitted)
        assert (await caller.until(ReplyDone)).status == "completed"


@pytest.mark.asyncio
async def test_a_fixed_silence_decides_without_the_end_of_turn_model() -> None:
    settings = ConversationSettings(silence_limit_s=0.5)
    async with calling(scripted_engine(completeness=[1.0]), settings) as caller:
        await caller.say(speech(1.0), silence(0.45))
        await asyncio.sleep(0.05)  # time in which the model would have decided, had it been asked
        await caller.say(speech(0.3), silence(0.6))
        assert (await caller.until(TurnCommitted)).end_s == pytest.approx(1.75, abs=0.05)


@pytest.mark.asyncio
async def test_the_second_turn_remembers_the_first() -> None:
    prompts: list[list[Message]] = []

    def answer(messages: Sequence[Message]) -> str:
        prompts.append(list(messages))
        return "Fine."

    async with calling(scripted_engine(heard=["I am Ada", "who am I"], reply=answer)) as caller:
        for _ in range(2):
            await caller.say(speech(1.0), silence(0.6))
            await caller.until(ReplyDone)
    assert [(message.role, message.text) for message in prompts[1][1:]] == [
        ("user", "I am Ada"),
        ("assistant", "Fine."),
        ("user", "who am I"),
    ]


@pytest.mark.asyncio
async def test_noise_without_words_gets_no_reply() -> None:
    async with calling(scripted_engine(heard="")) as caller:
        await caller.say(speech(1.0), silence(0.6))
        await caller.until(TurnEmpty)
    assert "ReplyStarted" not in caller.kinds()


class Broken:
    """Every kind of model, failing."""

    voices = {Language.EN: ("broken",)}

    def transcribe(self, *args: object, **options: object) -> Transcript:
        raise RuntimeError("the model broke")

    def completeness(self, samples_16k: FloatArray) -> float:
        raise RuntimeError("the model broke")

    def reply(self, messages: Sequence[Message], *, max_tokens: int) -> Iterator[str]:
        yield "Well, "
        raise RuntimeError("the model broke")

    def count_tokens(self, text: str) -> int:
        return 1

    def speak(self, text: str, language: Language, voice: str, speed: float = 1.0) -> Iterator[FloatArray]:
        raise RuntimeError("the model broke")
        yield


def with_broken(**models: object) -> Engine:
    engine = scripted_engine()
    for name, model in models.items():
        object.__setattr__(engine._models, name, model)
    return engine


@pytest.mark.asyncio
async def test_a_failing_speech_to_text_loses_its_turn_only() -> None:
    engine = with_broken(speech_to_text=Broken())
    async with calling(engine) as caller:
        await caller.say(speech(1.0), silence(0.6))
        assert (await caller.until(TurnFailed)).stage == "speech_to_text"
        object.__setattr__(engine._models, "speech_to_text", scripted_engine()._models.speech_to_text)
        await caller.say(speech(1.0), silence(0.6))
        assert (await caller.until(ReplyDone)).status == "completed"


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("broken", "stage"), [("language_models", "language_model"), ("text_to_speech", "text_to_speech")]
)
async def test_a_failing_reply_says_so_and_ends(broken: str, stage: str) -> None:
    async with calling(with_broken(**{broken: {Language.EN: Broken()}})) as caller:
        await caller.say(speech(1.0), silence(0.6))
        assert (await caller.until(TurnFailed)).stage == stage
        assert (await caller.until(ReplyDone)).status == "failed"


@pytest.mark.asyncio
async def test_without_an_end_of_turn_model_the_silence_limit_decides() -> None:
    async with calling(with_broken(end_of_turn=Broken())) as caller:
        await caller.say(speech(1.0), silence(1.5))
        assert (await caller.until(ReplyDone)).status == "completed"


@pytest.mark.asyncio
async def test_push_to_talk_waits_for_the_commit() -> None:
    settings = ConversationSettings(detect_turns=False, reply_to_turns=False)
    async with calling(scripted_engine(heard="over"), settings) as caller:
        with pytest.raises(NothingToCommitError, match="0 ms"):
            await caller.conversation.commit()
        await caller.say(speech(1.0), silence(3.0), speech(0.5))
        await caller.conversation.commit()
        await caller.conversation.respond()
        await caller.until(ReplyDone)
    assert caller.kinds()[:3] == ["TurnCommitted", "Transcribed", "ReplyStarted"]


@pytest.mark.asyncio
async def test_push_to_talk_holds_a_bounded_amount_of_audio() -> None:
    async with calling(scripted_engine(), ConversationSettings(detect_turns=False)) as caller:
        with pytest.raises(AudioBufferFullError, match="commit or clear"):
            for _ in range(70):
                await caller.conversation.feed(silence(1.0))
        caller.conversation.clear()
        await caller.say(speech(1.0))
        await caller.conversation.commit()
        assert (await caller.until(TurnCommitted)).start_s == pytest.approx(61, abs=1)


def held_engine(release: threading.Event) -> Engine:
    def answer(messages: Sequence[Message]) -> str:
        release.wait(10)
        return "Too late."

    return scripted_engine(reply=answer)


@pytest.mark.asyncio
async def test_a_cancelled_reply_says_nothing_more() -> None:
    release = threading.Event()
    async with calling(held_engine(release)) as caller:
        await caller.say(speech(1.0), silence(0.6))
        await caller.until(ReplyStarted)
        assert caller.conversation.reply_active
        with pytest.raises(ReplyActiveError):
            await caller.conversation.respond()
        await caller.conversation.cancel_reply()
        release.set()
        done = await caller.until(ReplyDone)
        assert (done.status, done.text) == ("cancelled", "")
        assert not caller.conversation.reply_active
        await caller.conversation.cancel_reply()
        await caller.say(speech(1.0), silence(0.6))
        assert (await caller.until(ReplyDone)).text == "Too late."
    assert caller.kinds().count("ReplyDone") == 2


@pytest.mark.asyncio
async def test_a_reply_that_nobody_fetches_is_taken_back_and_not_remembered() -> None:
    async with calling(scripted_engine(reply="One two three four. " * 30)) as caller:
        await caller.say(speech(1.0), silence(0.6))
        await caller.until(ReplyText)
        while caller.conversation._outbox._changed.locked() or len(caller.conversation._outbox._events) < 64:
            await asyncio.sleep(0)  # until the outbox is full and the reply waits
        await caller.conversation.cancel_reply()
        done = await caller.until(ReplyDone)
    heard = "".join(event.text for event in caller.seen if isinstance(event, ReplyText))
    assert done.status == "cancelled"
    assert done.text == heard
    assert [type(event) for event in caller.seen].count(ReplyAudio) == 0


@pytest.mark.asyncio
async def test_a_new_turn_ends_the_reply_to_the_one_before() -> None:
    release = threading.Event()
    async with calling(held_engine(release)) as caller:
        await caller.say(speech(1.0), silence(0.6))
        await caller.until(ReplyStarted)
        await caller.say(speech(1.0), silence(0.6))
        first = await caller.until(ReplyDone)
        release.set()
        second = await caller.until(ReplyDone)
    assert (first.status, second.status) == ("cancelled", "completed")
    assert second.turn == 2


@pytest.mark.asyncio
async def test_leaving_in_mid_reply_frees_everything() -> None:
    release = threading.Event()
    engine = held_engine(release)
    before = asyncio.all_tasks()
    async with asyncio.timeout(20), Conversation(engine) as conversation:
        caller = Caller(conversation)
        await caller.say(speech(1.0), silence(0.6))
        await caller.until(ReplyStarted)
    assert asyncio.all_tasks() == before
    release.set()
    await engine.aclose()


@pytest.mark.asyncio
async def test_leaving_just_as_the_transcript_arrives_begins_no_reply() -> None:
    engine = scripted_engine(completeness=[0.0])
    async with asyncio.timeout(10):
        async with Conversation(engine, clock=lambda: 0.0) as conversation:
            await Caller(conversation).say(speech(0.5), silence(0.3))
            turn = conversation._turn
            assert turn is not None
            transcription = turn.transcription
            assert transcription is not None
            await asyncio.wait([transcription])
            close = conversation._outbox.close

            async def close_as_it_arrives() -> None:
                conversation._guess(turn, transcription)  # a callback that the loop runs while the caller leaves
                await close()

            conversation._outbox.close = close_as_it_arrives  # type: ignore[method-assign]  # the moment of leaving
        await engine.aclose()
    assert not conversation._running


@pytest.mark.asyncio
async def test_a_slow_listener_holds_up_its_own_conversation_only() -> None:
    engine = scripted_engine(reply="One two three four. " * 30)
    async with calling(engine) as slow, Conversation(engine, clock=lambda: 0.0) as quick_conversation:
        quick = Caller(quick_conversation)
        await slow.say(speech(1.0), silence(0.6))
        await slow.until(SpeechStarted)
        await quick.say(speech(1.0), silence(0.6))
        assert (await quick.until(ReplyDone)).status == "completed"
        assert (await slow.until(ReplyDone)).status == "completed"


@pytest.mark.asyncio
async def test_text_only_replies_carry_no_audio() -> None:
    async with calling(scripted_engine(reply="Read this."), ConversationSettings(speak=False)) as caller:
        await caller.say(speech(1.0), silence(0.6))
        assert (await caller.until(ReplyDone)).text == "Read this."
    assert "ReplyAudio" not in caller.kinds()


@pytest.mark.asyncio
async def test_a_fixed_language_is_taken_as_given_and_has_its_own_instructions() -> None:
    prompts: list[Sequence[Message]] = []

    def answer(messages: Sequence[Message]) -> str:
        prompts.append(messages)
        return "うん。"

    settings = ConversationSettings(languages=(Language.JA,))
    async with calling(scripted_engine(reply=answer, language=Language.EN), settings) as caller:
        await caller.say(speech(1.0), silence(0.6))
        assert (await caller.until(Transcribed)).language is Language.JA
        await caller.until(ReplyDone)
    assert "日本" in prompts[0][0].text or "音声" in prompts[0][0].text


@pytest.mark.asyncio
async def test_typed_messages_can_be_answered_without_speech() -> None:
    async with calling(scripted_engine(reply=lambda messages: f"You said {messages[-1].text}.")) as caller:
        caller.conversation.add_message("user", "hello")
        await caller.conversation.respond(instructions="Be kind.")
        done = await caller.until(ReplyDone)
    assert (done.text, done.turn) == ("You said hello.", None)
    assert SpeechStopped not in {type(event) for event in caller.seen}
