"""Functions of the caller's program that the language model asks for, and what it makes of their results."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from pipeline.events import ReplyCall, ReplyDone
from pipeline.lm.base import Message, Tool, Toolbox, ToolCall
from pipeline.profiles import load_profile
from pipeline.settings import ConversationSettings
from pipeline.testing import Prompts, Script, ScriptedCaller

LOOK = ToolCall("call_1", "look", '{"where": "outside"}')
TOOLBOX = Toolbox((Tool("look", "Looks.", {"type": "object"}),))


def test_a_call_comes_after_the_words_before_it_and_ends_the_reply(call: Any) -> None:
    script = Script(reply=lambda messages: ["Let me see.", LOOK])
    caller = call(script, ScriptedCaller.take_turn, toolbox=TOOLBOX)
    assert caller.kinds()[-4:] == ["ReplyText", "ReplyAudio", "ReplyCall", "ReplyDone"]
    (told,) = caller.all(ReplyCall)
    assert told.call == LOOK
    assert [toolbox for _, toolbox in script.asked] == [TOOLBOX]


def test_the_result_of_a_call_is_what_the_next_reply_is_made_of(call: Any) -> None:
    prompts = Prompts([LOOK], "It rains.")

    async def hold(caller: ScriptedCaller) -> None:
        await caller.take_turn()
        caller.conversation.add_message(Message("tool", "rain", call_id="call_1"))
        await caller.conversation.respond()
        assert (await caller.until(ReplyDone, count=2)).text == "It rains."

    call(Script(heard=["how is it"], reply=prompts), hold, toolbox=TOOLBOX)
    assert prompts.seen[-1][1:] == [
        Message("user", "how is it"),
        Message("assistant", "", calls=(LOOK,)),
        Message("tool", "rain", call_id="call_1"),
    ]


def test_several_calls_keep_their_order(call: Any) -> None:
    calls = [replace(LOOK, id=f"call_{number}") for number in range(3)]
    prompts = Prompts(calls, "Well.")

    async def hold(caller: ScriptedCaller) -> None:
        await caller.take_turn()
        await caller.conversation.respond()
        await caller.until(ReplyDone, count=2)

    caller = call(Script(reply=prompts), hold, toolbox=TOOLBOX)
    assert [told.call for told in caller.all(ReplyCall)] == calls
    assert [message.calls for message in prompts.seen[-1][2:]] == [(each,) for each in calls]


def test_nobody_hears_of_a_call_in_a_reply_that_was_a_wrong_guess(call: Any) -> None:
    async def hold(caller: ScriptedCaller) -> None:
        await caller.speak(1.0)
        await caller.keep_silent(0.3)
        await caller.speak(0.5)
        await caller.until(ReplyDone)

    caller = call(Script(heard=["how", "how is it"], reply=lambda messages: [LOOK]), hold, toolbox=TOOLBOX)
    assert len(caller.all(ReplyCall)) == 1


def test_a_call_that_nobody_has_fetched_is_taken_back_from_the_history_too(call: Any) -> None:
    prompts = Prompts([LOOK] * 100, "Well.")

    async def hold(caller: ScriptedCaller) -> None:
        caller.listen(False)
        await caller.conversation.respond()
        await caller.keep_silent(0.1)  # as many calls wait to be fetched as may
        await caller.conversation.cancel_reply()
        caller.listen(True)
        await caller.until(ReplyDone)
        await caller.conversation.respond()
        await caller.until(ReplyDone, count=2)

    caller = call(Script(reply=prompts), hold, toolbox=TOOLBOX)
    assert not caller.all(ReplyCall)
    assert prompts.last() == []


def test_what_the_tools_take_of_the_prompt_is_not_there_for_the_history(call: Any) -> None:
    prompts = Prompts("Fine.")
    budget = load_profile("embedded").language_model.history_tokens
    wordy = Toolbox((Tool("look", "word " * (budget - 20), {}),))

    async def hold(caller: ScriptedCaller) -> None:
        caller.conversation.add_message(Message("user", "word " * 30))
        caller.conversation.add_message(Message("user", "the newest"))
        await caller.conversation.respond(ConversationSettings(instructions="", toolbox=wordy))
        assert (await caller.until(ReplyDone)).prompt_tokens > budget - 20

    call(Script(reply=prompts), hold)
    assert prompts.last() == [("user", "the newest")]
