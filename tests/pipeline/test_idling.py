"""A silence after a reply that is longer than the settings allow."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.events import IdleTimeout, ReplyDone, TurnCommitted, TurnEmpty
from pipeline.profiles import load_profile
from pipeline.testing import Prompts, Script, ScriptedCaller

PROFILE = load_profile("embedded")


def test_after_a_reply_has_been_played_silence_brings_the_next(call: Any) -> None:
    prompts = Prompts("Hello there.", "Are you still there?")

    async def hold(caller: ScriptedCaller) -> None:
        await caller.take_turn()
        await caller.until(ReplyDone, count=2)

    caller = call(Script(heard=["hi"], reply=prompts), hold, idle_timeout_s=5.0)
    first, _ = caller.all(ReplyDone)
    (timeout,) = caller.all(IdleTimeout)
    # When all of the reply has been sent, the lead and the rest of a piece are still to be played.
    played_s = caller.at_s(first) + PROFILE.text_to_speech.lead_s + 0.05
    assert caller.at_s(timeout) == pytest.approx(played_s + 5.0, abs=0.1)
    assert timeout.end_s - timeout.start_s == pytest.approx(5.0, abs=0.04)
    assert timeout.turn == caller.all(TurnCommitted)[-1].turn == caller.all(TurnEmpty)[-1].turn
    assert prompts.last() == [("user", "hi"), ("assistant", "Hello there.")]


def test_whoever_speaks_is_not_idle(call: Any) -> None:
    async def hold(caller: ScriptedCaller) -> None:
        await caller.take_turn()
        for _ in range(3):
            await caller.keep_silent(2.0)
            await caller.take_turn()

    assert not call(Script(), hold, idle_timeout_s=5.0).all(IdleTimeout)


def test_nobody_is_idle_before_the_first_reply(call: Any) -> None:
    async def hold(caller: ScriptedCaller) -> None:
        await caller.keep_silent(20.0)

    assert not call(Script(), hold, idle_timeout_s=5.0).all(IdleTimeout)
