"""Replies beside the conversation: to a context of their own, leaving nothing behind, undisturbed by who speaks."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.asides import MOST_AT_ONCE
from pipeline.errors import TooManyAsidesError
from pipeline.events import ReplyCall, ReplyDone, ReplyStarted, SpeechStarted
from pipeline.lm.base import Message, ToolCall
from pipeline.settings import ConversationSettings
from pipeline.testing import Prompts, Script, ScriptedCaller

IN_TEXT = ConversationSettings(speak=False)
LONG = " ".join(["word"] * 50)


def test_it_replies_to_the_history_and_is_not_in_it(call: Any) -> None:
    prompts = Prompts("Hello.", "A greeting.", "Bye.")

    async def hold(caller: ScriptedCaller) -> None:
        await caller.take_turn()
        aside = await caller.conversation.respond(IN_TEXT, aside=True)
        assert (await caller.until(ReplyDone, count=2)).reply == aside
        await caller.conversation.respond()
        await caller.until(ReplyDone, count=3)

    caller = call(Script(heard=["hi"], reply=prompts), hold)
    assert [message.text for message in prompts.seen[1][1:]] == ["hi", "Hello."]
    assert prompts.last() == [("user", "hi"), ("assistant", "Hello.")]
    assert [started.message is None for started in caller.all(ReplyStarted)] == [False, True, False]


def test_it_replies_to_a_context_of_its_own(call: Any) -> None:
    prompts = Prompts("Fine.")

    async def hold(caller: ScriptedCaller) -> None:
        caller.conversation.add_message(Message("user", "not this"))
        number = caller.conversation.add_message(Message("user", "this"))
        await caller.conversation.respond(IN_TEXT, context=[Message("user", "and that"), number], aside=True)
        await caller.until(ReplyDone)

    call(Script(reply=prompts), hold)
    assert prompts.last() == [("user", "and that"), ("user", "this")]


def test_a_context_of_its_own_may_be_what_the_conversation_replies_to(call: Any) -> None:
    prompts = Prompts("Fine.")

    async def hold(caller: ScriptedCaller) -> None:
        caller.conversation.add_message(Message("user", "not this"))
        await caller.conversation.respond(context=[])
        await caller.until(ReplyDone)
        await caller.conversation.respond()
        await caller.until(ReplyDone, count=2)

    call(Script(reply=prompts), hold)
    assert prompts.seen[0][1:] == []
    assert prompts.last() == [("user", "not this"), ("assistant", "Fine.")]


def test_it_goes_on_beside_a_reply_and_while_somebody_speaks(call: Any) -> None:
    async def hold(caller: ScriptedCaller) -> None:
        aside = await caller.conversation.respond(IN_TEXT, context=[Message("user", LONG)], aside=True)
        await caller.take_turn()
        assert caller.conversation.active_replies == {aside}
        done = {ended.reply: ended.status for ended in caller.all(ReplyDone)}
        assert (set(done.values()), aside in done) == ({"completed"}, False)
        assert (await caller.until(ReplyDone, count=2)).reply == aside
        assert not caller.conversation.active_replies

    caller = call(Script(reply=lambda messages: messages[-1].text, thinking_s=0.1), hold)
    assert caller.all(SpeechStarted)
    assert {ended.status for ended in caller.all(ReplyDone)} == {"completed"}


def test_it_is_cancelled_by_its_number_alone(call: Any) -> None:
    async def hold(caller: ScriptedCaller) -> None:
        own = await caller.conversation.respond(IN_TEXT)
        aside = await caller.conversation.respond(IN_TEXT, aside=True)
        await caller.conversation.cancel_reply(aside)
        await caller.conversation.cancel_reply(aside)
        assert (await caller.until(ReplyDone)).reply == aside
        assert caller.conversation.active_reply == own
        assert (await caller.until(ReplyDone, count=2)).reply == own

    caller = call(Script(reply=lambda messages: LONG, thinking_s=0.1), hold)
    assert [ended.status for ended in caller.all(ReplyDone)] == ["cancelled", "completed"]


def test_its_calls_are_not_in_the_history(call: Any) -> None:
    async def hold(caller: ScriptedCaller) -> None:
        await caller.conversation.respond(IN_TEXT, aside=True)
        await caller.until(ReplyDone)

    caller = call(Script(reply=lambda messages: [ToolCall("c", "look", "{}")]), hold)
    assert [told.message for told in caller.all(ReplyCall)] == [None]


def test_there_is_an_end_to_how_many_there_may_be(call: Any) -> None:
    async def hold(caller: ScriptedCaller) -> None:
        for _ in range(MOST_AT_ONCE):
            await caller.conversation.respond(IN_TEXT, aside=True)
        with pytest.raises(TooManyAsidesError, match=str(MOST_AT_ONCE)):
            await caller.conversation.respond(IN_TEXT, aside=True)
        await caller.until(ReplyDone, count=MOST_AT_ONCE)
        await caller.conversation.respond(IN_TEXT, aside=True)
        await caller.until(ReplyDone, count=MOST_AT_ONCE + 1)

    call(Script(thinking_s=0.1), hold)
