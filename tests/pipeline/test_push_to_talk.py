"""Turns that the caller ends, and changes to that and back."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from pipeline.errors import AudioBufferFullError, NothingToCommitError
from pipeline.events import ReplyDone, Transcribed, TurnCommitted
from pipeline.profiles import load_profile
from pipeline.testing import Script, ScriptedCaller

PROFILE = load_profile("embedded")


def test_push_to_talk_waits_for_the_commit(call: Any) -> None:
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
def test_whoever_changes_to_push_to_talk_within_a_turn_ends_it_by_the_commit(
    call: Any, whole_turn: list[str], pause_s: float
) -> None:
    async def hold(caller: ScriptedCaller) -> None:
        await caller.speak(1.0)
        await caller.keep_silent(pause_s)
        caller.conversation.settings = replace(caller.conversation.settings, detect_turns=False)
        await caller.speak(0.5)
        await caller.keep_silent(2.0)
        await caller.conversation.commit()
        await caller.until(ReplyDone)

    caller = call(Script(heard=["I was", "I was thinking"] if pause_s else ["I was thinking"], ends=[0.1]), hold)
    assert caller.kinds() == whole_turn
    (heard,), (committed,) = caller.all(Transcribed), caller.all(TurnCommitted)
    assert heard.text == "I was thinking"
    assert committed.end_s == pytest.approx(3.5 + pause_s, abs=0.04)


@pytest.mark.parametrize("spoken_s", [0.0, 0.5])
def test_whoever_changes_to_push_to_talk_and_back_within_a_turn_goes_on_with_it(
    call: Any, whole_turn: list[str], spoken_s: float
) -> None:
    async def hold(caller: ScriptedCaller) -> None:
        await caller.speak(1.0)
        for detect_turns in (False, True):
            caller.conversation.settings = replace(caller.conversation.settings, detect_turns=detect_turns)
            await caller.speak(spoken_s)
        await caller.until(ReplyDone)

    caller = call(Script(), hold)
    assert caller.kinds() == whole_turn
    (committed,) = caller.all(TurnCommitted)
    assert (committed.start_s, committed.end_s) == pytest.approx((0.0, 1.0 + 2 * spoken_s), abs=0.04)


def test_push_to_talk_holds_a_bounded_amount_of_audio(call: Any) -> None:
    async def hold(caller: ScriptedCaller) -> None:
        with pytest.raises(AudioBufferFullError, match="commit or clear"):
            await caller.keep_silent(70.0)
        await caller.conversation.clear()
        await caller.speak(1.0)
        await caller.conversation.commit()
        assert (await caller.until(TurnCommitted)).start_s == pytest.approx(60, abs=1)

    call(Script(), hold, detect_turns=False)


def test_push_to_talk_begins_with_what_is_still_held_of_the_audio_before_it(call: Any) -> None:
    async def hold(caller: ScriptedCaller) -> None:
        await caller.keep_silent(PROFILE.turns.longest_turn_s + 10)
        caller.conversation.settings = replace(caller.conversation.settings, detect_turns=False)
        await caller.speak(1.0)
        await caller.keep_silent(0.1)
        await caller.conversation.commit()
        await caller.until(ReplyDone)

    (committed,) = call(Script(), hold).all(TurnCommitted)
    assert committed.end_s - committed.start_s == pytest.approx(1.1 + PROFILE.turns.prefix_s, abs=0.3)
