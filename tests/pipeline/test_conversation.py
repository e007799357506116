"""One caller, scripted models, a virtual clock: turns, replies and failures, in the order that events promise."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Coroutine, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from harness.virtual_time import run
from pipeline.errors import AudioBufferFullError, NothingToCommitError, ReplyActiveError
from pipeline.events import (
    ReplyAudio,
    ReplyDone,
    ReplyStarted,
    ReplyText,
    SpeechStarted,
    Transcribed,
    TurnCommitted,
    TurnEmpty,
    TurnFailed,
)
from pipeline.languages import Language
from pipeline.lm.base import Message
from pipeline.profiles import load_profile
from pipeline.settings import ConversationSettings
from pipeline.testing import Script, ScriptedCaller, scripted_engine

WHOLE_TURN = [
    "SpeechStarted",
    "SpeechStopped",
    "TurnCommitted",
    "Transcribed",
    "ReplyStarted",
    "ReplyText",
    "ReplyAudio",
    "ReplyDone",
]
PROFILE = load_profile("embedded")
FAST_S = PROFILE.turns.waits[0][1]


def call(
    script: Script, hold: Callable[[ScriptedCaller], Coroutine[Any, Any, None]], **settings: Any
) -> ScriptedCaller:
    """Hold one conversation in virtual time."""

    async def main() -> ScriptedCaller:
        before = asyncio.all_tasks()
        engine = scripted_engine(script)
        async with ScriptedCaller(engine, ConversationSettings(**settings)) as caller:
            await hold(caller)
        assert asyncio.all_tasks() == before
        await engine.aclose()
        return caller

    return run(main())


async def one_turn(caller: ScriptedCaller) -> None:
    await caller.keep_silent(0.5)
    await caller.speak(1.0)
    await caller.until(ReplyDone)


class Prompts:
    """Answers, and keeps what was asked."""

    def __init__(self, *answers: str) -> None:
        self.seen: list[list[Message]] = []
        self._answers = list(answers)

    def __call__(self, messages: Sequence[Message]) -> str:
        self.seen.append(list(messages))
        return self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]

    def last(self) -> list[tuple[str, str]]:
        return [(message.role, message.text) for message in self.seen[-1][1:]]


def test_a_turn_is_heard_and_answered_in_order() -> None:
    caller = call(Script(heard=["what time is it"], reply=lambda messages: "It is late."), one_turn)
    assert caller.kinds() == WHOLE_TURN
    (heard,), (committed,), (done,) = caller.all(Transcribed), caller.all(TurnCommitted), caller.all(ReplyDone)
    assert (heard.text, heard.language) == ("what time is it", Language.EN)
    assert (committed.start_s, committed.end_s) == pytest.approx((0.5, 1.5), abs=0.04)
    assert (done.status, done.text) == ("completed", "It is late.")


def test_a_reply_is_spoken_clause_by_clause_and_its_clauses_are_its_text() -> None:
    text = "It is late. You have asked me that before, I think. Go to bed and sleep until the morning comes."
    caller = call(Script(reply=lambda messages: text), one_turn)
    assert len(caller.all(ReplyText)) > 2
    assert "".join(clause.text for clause in caller.all(ReplyText)) == text
    (done,) = caller.all(ReplyDone)
    assert done.text == text


def test_the_trace_is_on_the_sample_clock_and_in_order() -> None:
    script = Script(hearing_s=0.1, asking_s=0.05, thinking_s=0.02, speaking_s=0.1)
    (done,) = call(script, one_turn).all(ReplyDone)
    trace = done.trace
    assert trace.speech_end_s == pytest.approx(1.5, abs=0.04)
    assert trace.pause_s == pytest.approx(1.58, abs=0.04)
    assert trace.transcript_s == pytest.approx(trace.pause_s + 0.1, abs=0.001)
    assert trace.first_token_s == pytest.approx(trace.transcript_s + 0.02, abs=0.001)
    assert trace.first_clause_s == pytest.approx(trace.first_token_s + 0.02, abs=0.001)
    assert trace.first_sample_s == pytest.approx(trace.first_clause_s + 0.1, abs=0.001)
    # The reply was begun on a guess, so the turn was committed when all of that was done.
    assert trace.committed_s == pytest.approx(1.5 + FAST_S, abs=0.04)
    assert trace.first_sent_s is None


def test_what_is_ready_is_released_at_the_commit_and_not_before() -> None:
    caller = call(Script(), one_turn)
    committed, first = caller.all(TurnCommitted)[0], caller.all(ReplyAudio)[0]
    assert caller.at_s(committed) == pytest.approx(1.5 + FAST_S, abs=0.04)
    assert caller.at_s(first) == caller.at_s(committed)


def test_slow_models_delay_the_reply_by_what_they_take_longer() -> None:
    caller = call(Script(hearing_s=0.3, thinking_s=0.2, speaking_s=0.4), one_turn)
    assert caller.at_s(caller.all(ReplyAudio)[0]) == pytest.approx(1.58 + 0.3 + 0.4 + 0.4, abs=0.04)


@pytest.mark.parametrize(
    ("ends", "completeness", "wait_s"),
    [
        (1.0, 1.0, FAST_S),
        (0.97, 0.4, PROFILE.turns.waits[1][1]),
        (0.5, 1.0, PROFILE.turns.longest_wait_s),
        (0.0, 0.0, PROFILE.turns.longest_wait_s),
    ],
)
def test_the_more_speaks_for_an_end_the_less_silence_it_takes(ends: float, completeness: float, wait_s: float) -> None:
    caller = call(Script(ends=[ends], completeness=[completeness]), one_turn)
    assert caller.at_s(caller.all(TurnCommitted)[0]) == pytest.approx(1.5 + wait_s, abs=0.06)


def test_a_pause_for_thought_is_one_turn_and_what_was_made_of_it_leaves_no_trace() -> None:
    prompts = Prompts("Yes.")
    script = Script(heard=["I was", "I was thinking"], ends=[0.1, 1.0], reply=prompts, hearing_s=0.1, thinking_s=0.1)

    async def hold(caller: ScriptedCaller) -> None:
        await caller.speak(0.5)
        await caller.keep_silent(0.4)
        await one_turn(caller)

    caller = call(script, hold)
    assert caller.kinds() == WHOLE_TURN
    assert [prompt[-1].text for prompt in prompts.seen] == ["I was", "I was thinking"]
    assert prompts.last() == [("user", "I was thinking")]
    (committed,) = caller.all(TurnCommitted)
    assert (committed.start_s, committed.end_s) == pytest.approx((0.0, 2.4), abs=0.04)


def test_a_speaker_who_goes_on_stops_every_model() -> None:
    script = Script(ends=[0.1], thinking_s=0.3, reply=lambda messages: "one two three four five six seven eight nine")

    async def hold(caller: ScriptedCaller) -> None:
        await caller.speak(0.5)
        await caller.keep_silent(0.5)
        await caller.speak(0.3)
        begun = len(script.calls)
        await caller.speak(0.5)
        assert [what for what, _ in script.calls[begun:]] == []

    assert call(script, hold).kinds() == ["SpeechStarted"]


def test_the_reply_to_a_turn_is_made_once_however_long_the_pause() -> None:
    script = Script(ends=[0.1])
    call(script, one_turn)
    assert [what for what, _ in script.calls if what in ("hear", "think", "speak")] == ["hear", "think", "speak"]
    turns = PROFILE.turns
    asked = 1 + int((turns.longest_wait_s - turns.ask_s) / turns.ask_again_s)
    assert [what for what, _ in script.calls].count("ask") == asked


def test_a_fixed_silence_decides_without_the_end_of_turn_model() -> None:
    script = Script()
    caller = call(script, one_turn, silence_limit_s=0.8)
    assert caller.at_s(caller.all(TurnCommitted)[0]) == pytest.approx(2.3, abs=0.04)
    assert "ask" not in dict(script.calls)


def test_what_is_said_is_transcribed_while_it_is_being_said() -> None:
    script = Script(partly="once upon a time", heard=["once upon a time there was"], hearing_s=0.1)

    async def hold(caller: ScriptedCaller) -> None:
        await caller.speak(3.5)
        await caller.until(ReplyDone)

    call(script, hold)
    hearing = [(what, draft) for what, draft in script.calls if what.startswith("hear")]
    assert hearing == [
        ("hear partly", None),
        ("hear partly", "once upon a time"),
        ("hear partly", "once upon a time"),
        ("hear", "once upon a time"),
    ]
    assert ("prepare", "once upon a time") in script.calls


@pytest.mark.parametrize(("models", "call_name"), [("speech_to_text", "transcribe"), ("language_model", "prepare")])
def test_what_fails_ahead_of_time_is_made_when_it_is_due(models: str, call_name: str) -> None:
    async def main() -> ScriptedCaller:
        engine = scripted_engine(Script(partly="once", heard=["once upon a time"]))
        model: Any = engine._models.speech_to_text
        if models == "language_model":
            model = engine._models.language_models[Language.EN]
        works = getattr(model, call_name)
        setattr(model, call_name, failing)
        async with ScriptedCaller(engine) as caller:
            await caller.speak(1.5)
            setattr(model, call_name, works)
            await caller.until(ReplyDone)
        return caller

    caller = run(main())
    assert caller.kinds() == WHOLE_TURN
    assert caller.all(Transcribed)[0].text == "once upon a time"


def test_a_long_turn_is_not_heard_again_from_its_beginning() -> None:
    prompts = Prompts("Fine.")
    script = Script(heard=["the first part", "and the second"], ends=[0.2, 1.0], reply=prompts)

    async def hold(caller: ScriptedCaller) -> None:
        await caller.speak(PROFILE.turns.settle_s + 1)
        await caller.keep_silent(0.5)
        await one_turn(caller)

    caller = call(script, hold)
    (heard,) = caller.all(Transcribed)
    assert heard.text == "the first part and the second"
    assert heard.audio_s == pytest.approx(PROFILE.turns.settle_s + 1 + 0.5 + 0.5 + 1.0 + FAST_S, abs=0.1)
    assert prompts.last() == [("user", "the first part and the second")]


def test_a_turn_too_long_is_cut() -> None:
    async def hold(caller: ScriptedCaller) -> None:
        await caller.speak(PROFILE.turns.longest_turn_s + 1)
        await caller.until(ReplyDone)

    (committed, *_) = call(Script(), hold).all(TurnCommitted)
    assert committed.end_s == pytest.approx(PROFILE.turns.longest_turn_s, abs=0.04)


def test_the_second_turn_remembers_the_first() -> None:
    prompts = Prompts("Fine.")

    async def hold(caller: ScriptedCaller) -> None:
        for count in (1, 2):
            await caller.keep_silent(1.0)
            await caller.speak(1.0)
            await caller.until(ReplyDone, count=count)

    call(Script(heard=["I am Ada", "who am I"], reply=prompts), hold)
    assert prompts.last() == [("user", "I am Ada"), ("assistant", "Fine."), ("user", "who am I")]


def test_noise_without_words_gets_no_reply() -> None:
    async def hold(caller: ScriptedCaller) -> None:
        await caller.speak(1.0)
        await caller.until(TurnEmpty)
        await caller.keep_silent(2.0)

    assert "ReplyStarted" not in call(Script(heard=[""]), hold).kinds()


def test_whoever_goes_on_just_after_the_commit_is_answered_once_and_to_everything() -> None:
    prompts = Prompts("Fine.")
    script = Script(heard=["tell me a story", "about a dog"], reply=prompts, hearing_s=0.1, thinking_s=0.5)

    async def hold(caller: ScriptedCaller) -> None:
        await caller.speak(0.5)
        await caller.until(TurnCommitted)
        await caller.speak(1.0)
        await caller.until(ReplyDone, count=2)

    caller = call(script, hold)
    assert [(done.status, done.text) for done in caller.all(ReplyDone)] == [("cancelled", ""), ("completed", "Fine.")]
    assert prompts.last() == [("user", "tell me a story"), ("user", "about a dog")]


def test_a_turn_whose_reply_was_overtaken_by_noise_is_answered_after_all() -> None:
    script = Script(heard=["tell me a story", ""], hearing_s=1.4)

    async def hold(caller: ScriptedCaller) -> None:
        await caller.speak(0.5)
        await caller.until(TurnCommitted)
        await caller.speak(0.4)
        await caller.until(ReplyDone)

    caller = call(script, hold)
    assert "TurnEmpty" in caller.kinds()
    assert [done.status for done in caller.all(ReplyDone)] == ["completed"]


BROKEN = RuntimeError("the model broke")


def test_a_failing_speech_to_text_loses_its_turn_only() -> None:
    async def hold(caller: ScriptedCaller) -> None:
        await caller.speak(1.0)
        assert (await caller.until(TurnFailed)).stage == "speech_to_text"
        await one_turn(caller)

    assert call(Script(heard=[BROKEN, "hello"]), hold).all(ReplyDone)[0].status == "completed"


def failing(*_: object, **__: object) -> Any:
    raise BROKEN


@pytest.mark.parametrize(
    ("models", "model", "call_name", "stage"),
    [
        ("language_models", Language.EN, "reply", "language_model"),
        ("text_to_speech", Language.EN, "speak", "text_to_speech"),
    ],
)
def test_a_failing_reply_says_so_and_ends(models: str, model: Language, call_name: str, stage: str) -> None:
    async def main() -> ScriptedCaller:
        engine = scripted_engine()
        setattr(getattr(engine._models, models)[model], call_name, failing)
        async with ScriptedCaller(engine) as caller:
            await one_turn(caller)
        return caller

    caller = run(main())
    assert caller.all(TurnFailed)[0].stage == stage
    assert [done.status for done in caller.all(ReplyDone)] == ["failed"]


def breaking_off(produce: Callable[..., Iterator[Any]], after: int, broken: Callable[[], None]) -> Any:
    """A model's method that makes so many pieces and no more."""

    def pieces(*args: Any, **kwargs: Any) -> Iterator[Any]:
        yield from itertools.islice(produce(*args, **kwargs), after)
        broken()
        yield None

    return pieces


@pytest.mark.parametrize("broken", ["fails", "hangs"])
@pytest.mark.parametrize(
    ("models", "call_name", "stage"),
    [("language_models", "reply", "language_model"), ("text_to_speech", "speak", "text_to_speech")],
)
def test_a_model_that_breaks_off_ends_the_reply_it_has_begun(
    models: str, call_name: str, stage: str, broken: str
) -> None:
    script = Script(reply=lambda messages: "One two three four. " * 5, thinking_s=0.1)

    async def main() -> ScriptedCaller:
        engine = scripted_engine(script)
        model = getattr(engine._models, models)[Language.EN]
        breaks = failing if broken == "fails" else lambda: script.pace.take(1000.0)
        setattr(model, call_name, breaking_off(getattr(model, call_name), 8, breaks))
        async with ScriptedCaller(engine) as caller:
            await caller.speak(1.0)
            await caller.until(ReplyDone, within_s=60)
        return caller

    caller = run(main())
    assert caller.kinds()[4:] == ["ReplyStarted", "ReplyText", "ReplyAudio", "TurnFailed", "ReplyDone"]
    assert caller.all(TurnFailed)[0].stage == stage
    assert [done.status for done in caller.all(ReplyDone)] == ["failed"]


@pytest.mark.parametrize("script", [Script(completeness=[BROKEN]), Script(asking_s=1000.0)])
def test_without_an_end_of_turn_model_the_words_decide(script: Script) -> None:
    caller = call(script, one_turn)
    assert caller.at_s(caller.all(TurnCommitted)[0]) == pytest.approx(1.5 + FAST_S, abs=0.04)
    assert caller.all(ReplyDone)[0].status == "completed"


@pytest.mark.parametrize(
    ("script", "stage"),
    [
        (Script(hearing_s=1000.0), "speech_to_text"),
        (Script(thinking_s=1000.0), "language_model"),
        (Script(speaking_s=1000.0), "text_to_speech"),
    ],
)
def test_a_model_that_hangs_fails_its_turn_when_the_limit_is_passed(script: Script, stage: str) -> None:
    async def hold(caller: ScriptedCaller) -> None:
        await caller.speak(1.0)
        await caller.until(TurnFailed, within_s=60)

    caller = call(script, hold)
    (failure,) = caller.all(TurnFailed)
    assert failure.stage == stage
    assert caller.at_s(failure) == pytest.approx(1.0 + PROFILE.language_model.reply_limit_s, abs=1.4)


def test_push_to_talk_waits_for_the_commit() -> None:
    async def hold(caller: ScriptedCaller) -> None:
        with pytest.raises(NothingToCommitError, match="0 ms"):
            await caller.conversation.commit()
        await caller.speak(1.0)
        await caller.keep_silent(3.0)
        await caller.speak(0.5)
        await caller.keep_silent(0.1)
        await caller.conversation.commit()
        await caller.conversation.respond()
        await caller.until(ReplyDone)

    caller = call(Script(heard=["over"]), hold, detect_turns=False, reply_to_turns=False)
    assert caller.kinds()[:3] == ["TurnCommitted", "Transcribed", "ReplyStarted"]


@pytest.mark.parametrize("pause_s", [0.0, 0.3])
def test_whoever_changes_to_push_to_talk_within_a_turn_ends_it_by_the_commit(pause_s: float) -> None:
    async def hold(caller: ScriptedCaller) -> None:
        await caller.speak(1.0)
        await caller.keep_silent(pause_s)
        caller.conversation.settings = replace(caller.conversation.settings, detect_turns=False)
        await caller.speak(0.5)
        await caller.keep_silent(2.0)
        await caller.conversation.commit()
        await caller.until(ReplyDone)

    caller = call(Script(heard=["I was", "I was thinking"] if pause_s else ["I was thinking"], ends=[0.1]), hold)
    assert caller.kinds() == WHOLE_TURN
    (heard,), (committed,) = caller.all(Transcribed), caller.all(TurnCommitted)
    assert heard.text == "I was thinking"
    assert committed.end_s == pytest.approx(3.5 + pause_s, abs=0.04)


@pytest.mark.parametrize("spoken_s", [0.0, 0.5])
def test_whoever_changes_to_push_to_talk_and_back_within_a_turn_goes_on_with_it(spoken_s: float) -> None:
    async def hold(caller: ScriptedCaller) -> None:
        await caller.speak(1.0)
        for detect_turns in (False, True):
            caller.conversation.settings = replace(caller.conversation.settings, detect_turns=detect_turns)
            await caller.speak(spoken_s)
        await caller.until(ReplyDone)

    caller = call(Script(), hold)
    assert caller.kinds() == WHOLE_TURN
    (committed,) = caller.all(TurnCommitted)
    assert (committed.start_s, committed.end_s) == pytest.approx((0.0, 1.0 + 2 * spoken_s), abs=0.04)


def test_push_to_talk_holds_a_bounded_amount_of_audio() -> None:
    async def hold(caller: ScriptedCaller) -> None:
        with pytest.raises(AudioBufferFullError, match="commit or clear"):
            await caller.keep_silent(70.0)
        await caller.conversation.clear()
        await caller.speak(1.0)
        await caller.conversation.commit()
        assert (await caller.until(TurnCommitted)).start_s == pytest.approx(60, abs=1)

    call(Script(), hold, detect_turns=False)


def test_push_to_talk_begins_with_what_is_still_held_of_the_audio_before_it() -> None:
    async def hold(caller: ScriptedCaller) -> None:
        await caller.keep_silent(PROFILE.turns.longest_turn_s + 10)
        caller.conversation.settings = replace(caller.conversation.settings, detect_turns=False)
        await caller.speak(1.0)
        await caller.keep_silent(0.1)
        await caller.conversation.commit()
        await caller.until(ReplyDone)

    (committed,) = call(Script(), hold).all(TurnCommitted)
    assert committed.end_s - committed.start_s == pytest.approx(1.1 + PROFILE.turns.prefix_s, abs=0.3)


def test_audio_that_was_cleared_is_never_heard_of_again() -> None:
    async def hold(caller: ScriptedCaller) -> None:
        await caller.speak(1.0)
        await caller.keep_silent(0.2)
        await caller.conversation.clear()
        await caller.keep_silent(3.0)

    assert call(Script(hearing_s=0.1), hold).kinds() == ["SpeechStarted"]


def test_a_cancelled_reply_says_nothing_more() -> None:
    script = Script(thinking_s=1.0, reply=lambda messages: "Too late")

    async def hold(caller: ScriptedCaller) -> None:
        await caller.speak(1.0)
        await caller.until(ReplyStarted)
        assert caller.conversation.reply_active
        with pytest.raises(ReplyActiveError):
            await caller.conversation.respond()
        await caller.conversation.cancel_reply()
        done = await caller.until(ReplyDone)
        assert (done.status, done.text) == ("cancelled", "")
        assert not caller.conversation.reply_active
        await caller.conversation.cancel_reply()
        await caller.speak(1.0)
        assert (await caller.until(ReplyDone, count=2)).text == "Too late"

    call(script, hold)


@pytest.mark.parametrize("interrupt", [True, False])
@pytest.mark.parametrize("after", range(12))
def test_a_reply_that_is_cancelled_when_the_next_begins_ends_before_it(after: int, interrupt: bool) -> None:
    async def hold(caller: ScriptedCaller) -> None:
        await caller.speak(1.0)
        await caller.keep_silent(0.1)
        await caller.conversation.commit()
        await caller.until(ReplyAudio)
        await caller.keep_silent(0.5)
        await caller.conversation.commit()
        for _ in range(after):
            await asyncio.sleep(0)
        await caller.conversation.cancel_reply()
        await caller.keep_silent(10.0)

    script = Script(reply=lambda messages: "One two three four. " * 5)
    caller = call(script, hold, detect_turns=False, interrupt=interrupt)
    bounds = [(type(event), event.reply) for _, event in caller.heard if isinstance(event, ReplyStarted | ReplyDone)]
    assert bounds == [(ReplyStarted, 1), (ReplyDone, 1), (ReplyStarted, 2), (ReplyDone, 2)]


def test_a_reply_is_sent_no_further_ahead_than_it_can_be_taken_back() -> None:
    caller = call(Script(reply=lambda messages: "one two three four five six seven eight. " * 4), one_turn)
    sent_s, started_s = 0.0, caller.at_s(caller.all(ReplyAudio)[0])
    for audio in caller.all(ReplyAudio):
        assert sent_s - (caller.at_s(audio) - started_s) <= PROFILE.text_to_speech.lead_s + 0.001
        sent_s += audio.samples_24k.size / 24_000
    assert sent_s > 5


def test_a_reply_that_nobody_fetches_is_taken_back_and_not_remembered() -> None:
    prompts = Prompts("One two three four. " * 30, "Fine.")

    async def main() -> ScriptedCaller:
        engine = scripted_engine(Script(reply=prompts))
        async with ScriptedCaller(engine) as caller:
            caller.listen(False)
            await caller.speak(1.0)
            await caller.keep_silent(3.0)
            await caller.conversation.cancel_reply()
            caller.listen(True)
            done = await caller.until(ReplyDone)
            assert (done.status, done.text, done.heard) == ("cancelled", "", "")
            assert caller.all(ReplyAudio) == []
            await caller.speak(1.0)
            await caller.until(ReplyDone, count=2)
        return caller

    run(main())
    assert prompts.last() == [("user", "hello"), ("user", "hello")]


@pytest.mark.parametrize(
    ("after_s", "last"),
    [
        pytest.param(0.3, "SpeechStarted", id="in mid-sentence"),
        pytest.param(1.04, "SpeechStarted", id="in a silence that is no pause yet"),
        pytest.param(1.1, "SpeechStarted", id="while the pause is transcribed"),
        pytest.param(1.22, "SpeechStarted", id="while the voice is judged"),
        pytest.param(1.48, "SpeechStarted", id="while the reply is made on a guess"),
        pytest.param(2.6, "ReplyAudio", id="while the reply plays"),
        pytest.param(9.4, "ReplyDone", id="when all of it has been sent"),
    ],
)
def test_a_caller_who_vanishes_leaves_nothing_behind(after_s: float, last: str) -> None:
    """`call` looks for leftover tasks."""
    script = Script(hearing_s=0.1, asking_s=0.05, thinking_s=0.05, speaking_s=0.1, reply=lambda messages: "so " * 40)
    begun: list[int] = []

    async def hold(caller: ScriptedCaller) -> None:
        samples = np.concatenate([0.3 * np.ones(16_000, np.float32), np.zeros(16_000 * 10, np.float32)])
        await caller.play(samples[: int(after_s * 16_000)])
        begun.append(len(script.calls))

    caller = call(script, hold)
    assert caller.kinds()[-1] == last
    assert begun == [len(script.calls)]


@pytest.mark.parametrize("transcribed_s", [0.5, 100.0])
def test_a_caller_who_vanishes_after_the_commit_is_not_answered(transcribed_s: float) -> None:
    async def hold(caller: ScriptedCaller) -> None:
        await caller.speak(1.0)
        await caller.conversation.commit()
        await caller.keep_silent(0.4)

    script = Script(hearing_s=transcribed_s)
    assert call(script, hold).kinds() == ["SpeechStarted", "SpeechStopped", "TurnCommitted"]
    assert [what for what, _ in script.calls] == ["hear partly"]


def test_a_slow_listener_holds_up_its_own_conversation_only() -> None:
    async def main() -> None:
        engine = scripted_engine(Script(reply=lambda messages: "One two three four. " * 30))
        async with ScriptedCaller(engine) as slow, ScriptedCaller(engine) as quick:
            slow.listen(False)
            await slow.speak(1.0)
            await slow.keep_silent(1.0)
            await quick.speak(1.0)
            assert (await quick.until(ReplyDone)).status == "completed"

    run(main())


def test_text_only_replies_carry_no_audio() -> None:
    caller = call(Script(reply=lambda messages: "Read this."), one_turn, speak=False)
    assert caller.all(ReplyDone)[0].text == "Read this."
    assert "ReplyAudio" not in caller.kinds()


def test_a_fixed_language_is_taken_as_given_and_has_its_own_instructions() -> None:
    prompts = Prompts("うん。")
    caller = call(Script(reply=prompts), one_turn, languages=(Language.JA,))
    assert caller.all(Transcribed)[0].language is Language.JA
    assert "音声" in prompts.seen[0][0].text


def test_a_caller_who_changes_the_language_is_answered_in_it() -> None:
    prompts = Prompts("Oui.")

    async def hold(caller: ScriptedCaller) -> None:
        for count in (1, 2):
            await caller.keep_silent(1.0)
            await caller.speak(2.0)
            await caller.until(ReplyDone, count=count)

    caller = call(Script(reply=prompts, language=[Language.EN, Language.FR]), hold)
    assert [started.language for started in caller.all(ReplyStarted)] == [Language.EN, Language.FR]
    assert prompts.seen[-1][0].text.startswith("Tu es")


def test_settings_that_change_in_a_pause_make_the_reply_anew() -> None:
    prompts = Prompts("Fine.")

    async def hold(caller: ScriptedCaller) -> None:
        await caller.speak(1.0)
        await caller.keep_silent(0.3)
        caller.conversation.settings = replace(caller.conversation.settings, instructions="Be a pirate.")
        await caller.until(ReplyDone)

    caller = call(Script(reply=prompts), hold)
    assert prompts.seen[-1][0].text == "Be a pirate."
    assert caller.kinds() == WHOLE_TURN


def test_typed_messages_can_be_answered_without_speech() -> None:
    async def hold(caller: ScriptedCaller) -> None:
        caller.conversation.add_message("user", "hello")
        await caller.conversation.respond(instructions="Be kind.")
        done = await caller.until(ReplyDone)
        assert (done.text, done.turn) == ("You said hello.", None)

    caller = call(Script(reply=lambda messages: f"You said {messages[-1].text}."), hold)
    assert not caller.all(SpeechStarted)


def test_what_is_taken_out_of_the_history_was_never_said() -> None:
    prompts = Prompts("Fine.")

    async def hold(caller: ScriptedCaller) -> None:
        first = caller.conversation.add_message("user", "forget this")
        caller.conversation.add_message("user", "keep this")
        caller.conversation.forget_message(first)
        await caller.conversation.respond()
        await caller.until(ReplyDone)

    call(Script(reply=prompts), hold)
    assert prompts.last() == [("user", "keep this")]
