"""Turns that are committed, and the replies to them: in which order, in which language, and to what."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from pipeline.events import (
    ReplyAudio,
    ReplyDone,
    ReplyStarted,
    ReplyText,
    SpeechStarted,
    Transcribed,
    TurnCommitted,
    TurnEmpty,
)
from pipeline.languages import Language
from pipeline.lm.base import Message
from pipeline.profiles import load_profile
from pipeline.testing import Prompts, Script, ScriptedCaller

PROFILE = load_profile("embedded")
FAST_S = PROFILE.turns.waits[0][1]


def test_a_turn_is_heard_and_answered_in_order(call: Any, whole_turn: list[str]) -> None:
    caller = call(Script(heard=["what time is it"], reply=lambda messages: "It is late."), ScriptedCaller.take_turn)
    assert caller.kinds() == whole_turn
    (heard,), (committed,), (done,) = caller.all(Transcribed), caller.all(TurnCommitted), caller.all(ReplyDone)
    assert (heard.text, heard.language) == ("what time is it", Language.EN)
    assert (committed.start_s, committed.end_s) == pytest.approx((0.5, 1.5), abs=0.04)
    assert (done.status, done.text) == ("completed", "It is late.")


def test_a_reply_is_spoken_clause_by_clause_and_its_clauses_are_its_text(call: Any) -> None:
    text = "It is late. You have asked me that before, I think. Go to bed and sleep until the morning comes."
    caller = call(Script(reply=lambda messages: text), ScriptedCaller.take_turn)
    assert len(caller.all(ReplyText)) > 2
    assert "".join(clause.text for clause in caller.all(ReplyText)) == text
    (done,) = caller.all(ReplyDone)
    assert done.text == text


def test_the_trace_is_on_the_sample_clock_and_in_order(call: Any) -> None:
    script = Script(hearing_s=0.1, asking_s=0.05, thinking_s=0.02, speaking_s=0.1)
    (done,) = call(script, ScriptedCaller.take_turn).all(ReplyDone)
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


def test_what_is_ready_is_released_at_the_commit_and_not_before(call: Any) -> None:
    caller = call(Script(), ScriptedCaller.take_turn)
    committed, first = caller.all(TurnCommitted)[0], caller.all(ReplyAudio)[0]
    assert caller.at_s(committed) == pytest.approx(1.5 + FAST_S, abs=0.04)
    assert caller.at_s(first) == caller.at_s(committed)


def test_slow_models_delay_the_reply_by_what_they_take_longer(call: Any) -> None:
    caller = call(Script(hearing_s=0.3, thinking_s=0.2, speaking_s=0.4), ScriptedCaller.take_turn)
    assert caller.at_s(caller.all(ReplyAudio)[0]) == pytest.approx(1.58 + 0.3 + 0.4 + 0.4, abs=0.04)


def test_the_second_turn_remembers_the_first(call: Any) -> None:
    prompts = Prompts("Fine.")

    async def hold(caller: ScriptedCaller) -> None:
        for count in (1, 2):
            await caller.keep_silent(1.0)
            await caller.speak(1.0)
            await caller.until(ReplyDone, count=count)

    call(Script(heard=["I am Ada", "who am I"], reply=prompts), hold)
    assert prompts.last() == [("user", "I am Ada"), ("assistant", "Fine."), ("user", "who am I")]


def test_noise_without_words_gets_no_reply(call: Any) -> None:
    async def hold(caller: ScriptedCaller) -> None:
        await caller.speak(1.0)
        await caller.until(TurnEmpty)
        await caller.keep_silent(2.0)

    assert "ReplyStarted" not in call(Script(heard=[""]), hold).kinds()


def test_whoever_goes_on_just_after_the_commit_is_answered_once_and_to_everything(call: Any) -> None:
    prompts = Prompts("Fine.")
    script = Script(heard=["tell me a story", "about a dog"], reply=prompts, hearing_s=0.1, thinking_s=0.7)

    async def hold(caller: ScriptedCaller) -> None:
        await caller.speak(0.5)
        await caller.until(TurnCommitted)
        await caller.speak(1.0)
        await caller.until(ReplyDone, count=2)

    caller = call(script, hold)
    assert [(done.status, done.text) for done in caller.all(ReplyDone)] == [("cancelled", ""), ("completed", "Fine.")]
    assert prompts.last() == [("user", "tell me a story"), ("user", "about a dog")]


def test_text_only_replies_carry_no_audio(call: Any) -> None:
    caller = call(Script(reply=lambda messages: "Read this."), ScriptedCaller.take_turn, speak=False)
    assert caller.all(ReplyDone)[0].text == "Read this."
    assert "ReplyAudio" not in caller.kinds()


def test_a_fixed_language_is_taken_as_given_and_has_its_own_instructions(call: Any) -> None:
    prompts = Prompts("うん。")
    caller = call(Script(reply=prompts), ScriptedCaller.take_turn, languages=(Language.JA,))
    assert caller.all(Transcribed)[0].language is Language.JA
    assert "音声" in prompts.seen[0][0].text


def test_a_caller_who_changes_the_language_is_answered_in_it(call: Any) -> None:
    prompts = Prompts("Oui.")

    async def hold(caller: ScriptedCaller) -> None:
        for count in (1, 2):
            await caller.keep_silent(1.0)
            await caller.speak(2.0)
            await caller.until(ReplyDone, count=count)

    caller = call(Script(reply=prompts, language=[Language.EN, Language.FR]), hold)
    assert [started.language for started in caller.all(ReplyStarted)] == [Language.EN, Language.FR]
    assert prompts.seen[-1][0].text.startswith("Tu es")


def test_typed_messages_can_be_answered_without_speech(call: Any) -> None:
    async def hold(caller: ScriptedCaller) -> None:
        caller.conversation.add_message(Message("user", "hello"))
        await caller.conversation.respond(replace(caller.conversation.settings, instructions="Be kind."))
        done = await caller.until(ReplyDone)
        assert (done.text, done.turn) == ("You said hello.", None)

    caller = call(Script(reply=lambda messages: f"You said {messages[-1].text}."), hold)
    assert not caller.all(SpeechStarted)


def test_typed_messages_are_answered_in_the_language_that_is_set_whatever_was_spoken_before(call: Any) -> None:
    async def hold(caller: ScriptedCaller) -> None:
        for count, language in enumerate([Language.FR, Language.JA], 1):
            caller.conversation.settings = replace(caller.conversation.settings, languages=(language,))
            caller.conversation.add_message(Message("user", "hello"))
            await caller.conversation.respond()
            assert (await caller.until(ReplyDone, count=count * 2 - 1)).language is language
            await caller.speak(1.0)
            await caller.until(ReplyDone, count=count * 2)

    call(Script(), hold)


def test_typed_messages_are_answered_in_the_language_spoken_last(call: Any) -> None:
    async def hold(caller: ScriptedCaller) -> None:
        await caller.take_turn()
        caller.conversation.add_message(Message("user", "hello"))
        await caller.conversation.respond()
        assert (await caller.until(ReplyDone, count=2)).language is Language.FR

    call(Script(language=[Language.FR]), hold)


def test_what_is_taken_out_of_the_history_was_never_said(call: Any) -> None:
    prompts = Prompts("Fine.")

    async def hold(caller: ScriptedCaller) -> None:
        first = caller.conversation.add_message(Message("user", "forget this"))
        caller.conversation.add_message(Message("user", "keep this"))
        caller.conversation.forget_message(first)
        await caller.conversation.respond()
        await caller.until(ReplyDone)

    call(Script(reply=prompts), hold)
    assert prompts.last() == [("user", "keep this")]
