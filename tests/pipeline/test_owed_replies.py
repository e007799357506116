"""A turn that gets no reply because the caller speaks again at once, who then turns out to say nothing."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest

from pipeline.events import ReplyAudio, ReplyDone, ReplyStarted, Transcribed, TurnCommitted, TurnEmpty, TurnFailed
from pipeline.testing import Prompts, Script, ScriptedCaller

BROKEN = RuntimeError("the model broke")


async def clear(caller: ScriptedCaller) -> None:
    await caller.conversation.clear()


async def wait(caller: ScriptedCaller) -> None:
    await caller.keep_silent(1.5)


async def let_push_to_talk_clear(caller: ScriptedCaller) -> None:
    caller.conversation.settings = replace(caller.conversation.settings, detect_turns=False)
    await caller.keep_silent(0.5)
    await caller.conversation.clear()


NOTHING = [
    pytest.param("nobody hears this", clear, id="cleared"),
    pytest.param("nobody hears this", let_push_to_talk_clear, id="cleared in push to talk"),
    pytest.param("", wait, id="noise"),
    pytest.param(BROKEN, wait, id="not understood"),
]


@pytest.mark.parametrize(("heard", "come_to_nothing"), NOTHING)
def test_a_turn_overtaken_while_it_is_transcribed_is_answered_after_all(
    call: Any, heard: str | Exception, come_to_nothing: Callable[[ScriptedCaller], Awaitable[None]]
) -> None:
    async def hold(caller: ScriptedCaller) -> None:
        await caller.speak(0.5)
        await caller.until(TurnCommitted)
        await caller.speak(0.4)
        await caller.until(Transcribed)
        assert not caller.conversation.reply_active
        await come_to_nothing(caller)
        await caller.until(ReplyDone)

    prompts = Prompts("Once.")
    caller = call(Script(heard=["tell me a story", heard], hearing_s=1.4, reply=prompts), hold)
    assert [(done.turn, done.status) for done in caller.all(ReplyDone)] == [(1, "completed")]
    assert prompts.last() == [("user", "tell me a story")]


@pytest.mark.parametrize(("heard", "come_to_nothing"), NOTHING)
@pytest.mark.parametrize("times", [{"thinking_s": 1.0}, {"speaking_s": 2.0}], ids=["thought", "synthesised"])
def test_a_reply_that_ended_before_anything_of_it_was_heard_is_made_again(
    call: Any,
    heard: str | Exception,
    come_to_nothing: Callable[[ScriptedCaller], Awaitable[None]],
    times: dict[str, float],
) -> None:
    async def hold(caller: ScriptedCaller) -> None:
        await caller.speak(0.5)
        await caller.until(ReplyStarted)
        await caller.speak(0.4)
        assert [done.status for done in caller.all(ReplyDone)] == ["cancelled"]
        await come_to_nothing(caller)
        await caller.until(ReplyDone, count=2)

    prompts = Prompts("Once upon a time.")
    caller = call(Script(heard=["tell me a story", heard], reply=prompts, **times), hold)
    assert [(done.turn, done.status) for done in caller.all(ReplyDone)] == [(1, "cancelled"), (1, "completed")]
    assert prompts.last() == [("user", "tell me a story")]
    first, second = (done.trace for done in caller.all(ReplyDone))
    assert (second.speech_end_s, second.transcript_s) == (first.speech_end_s, first.transcript_s)
    assert second.first_clause_s is not None
    assert first.first_clause_s is None or first.first_clause_s < second.first_clause_s


def test_it_is_made_at_once(call: Any) -> None:
    async def hold(caller: ScriptedCaller) -> None:
        await caller.speak(0.5)
        await caller.until(ReplyStarted)
        await caller.speak(0.4)
        await caller.conversation.clear()
        assert caller.conversation.reply_active

    call(Script(thinking_s=1.0), hold)


def test_what_has_been_answered_is_owed_nothing(call: Any) -> None:
    async def hold(caller: ScriptedCaller) -> None:
        await caller.take_turn()
        await caller.keep_silent(2.0)
        await caller.speak(0.4)
        await caller.conversation.clear()
        await caller.keep_silent(2.0)
        await caller.speak(1.0)
        await caller.until(TurnEmpty)
        await caller.keep_silent(2.0)

    assert len(call(Script(heard=["hello", "", ""]), hold).all(ReplyStarted)) == 1


def test_a_reply_that_the_client_cancels_is_not_made_again(call: Any) -> None:
    async def hold(caller: ScriptedCaller) -> None:
        await caller.speak(0.5)
        await caller.until(ReplyStarted)
        await caller.conversation.cancel_reply()
        await caller.speak(0.4)
        await caller.conversation.clear()
        await caller.keep_silent(2.0)

    assert [done.status for done in call(Script(thinking_s=1.0), hold).all(ReplyDone)] == ["cancelled"]


def test_a_reply_that_was_heard_and_interrupted_is_not_made_again(call: Any) -> None:
    async def hold(caller: ScriptedCaller) -> None:
        await caller.speak(0.5)
        await caller.until(ReplyAudio)
        await caller.keep_silent(0.5)
        await caller.speak(1.2)
        await caller.conversation.clear()
        await caller.keep_silent(2.0)

    caller = call(Script(reply=lambda messages: "One two three four. " * 5), hold)
    assert [done.status for done in caller.all(ReplyDone)] == ["cancelled"]


def test_nothing_is_made_up_for_once_replies_are_off(call: Any) -> None:
    async def hold(caller: ScriptedCaller) -> None:
        await caller.speak(0.5)
        await caller.until(TurnCommitted)
        await caller.speak(0.4)
        await caller.until(Transcribed)
        caller.conversation.settings = replace(caller.conversation.settings, reply_to_turns=False)
        await caller.conversation.clear()
        await caller.keep_silent(2.0)

    assert not call(Script(hearing_s=1.4), hold).all(ReplyStarted)


def test_whoever_asks_for_a_reply_meanwhile_has_it(call: Any) -> None:
    async def hold(caller: ScriptedCaller) -> None:
        await caller.speak(0.5)
        await caller.until(TurnCommitted)
        await caller.speak(0.4)
        await caller.until(Transcribed)
        await caller.conversation.respond()
        await caller.conversation.clear()
        await caller.until(ReplyDone)
        await caller.keep_silent(2.0)

    assert [done.turn for done in call(Script(hearing_s=1.4), hold).all(ReplyDone)] == [None]


def test_a_failed_turn_after_a_failed_one_owes_nothing(call: Any) -> None:
    async def hold(caller: ScriptedCaller) -> None:
        for count in (1, 2):
            await caller.speak(0.5)
            await caller.until(TurnFailed, count=count)

    assert not call(Script(heard=[BROKEN]), hold).all(ReplyStarted)


def test_so_is_one_that_the_client_asked_for(call: Any) -> None:
    async def hold(caller: ScriptedCaller) -> None:
        await caller.take_turn()
        await caller.keep_silent(5.0)
        await caller.conversation.respond()
        await caller.speak(0.4)
        await wait(caller)
        await caller.until(ReplyDone, count=3)

    prompts = Prompts("Once.", "Upon a time.", "Upon a time.")
    caller = call(Script(heard=["tell me a story", ""], thinking_s=1.0, reply=prompts), hold)
    assert [(done.turn, done.status) for done in caller.all(ReplyDone)] == [
        (1, "completed"),
        (None, "cancelled"),
        (None, "completed"),
    ]
    assert prompts.last() == [("user", "tell me a story"), ("assistant", "Once.")]
