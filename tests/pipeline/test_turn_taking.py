"""When a turn is over, and what is done ahead of time for one that may be."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from pipeline.events import ReplyDone, ReplyText, Transcribed, TurnCommitted
from pipeline.profiles import load_profile
from pipeline.testing import Prompts, Script, ScriptedCaller
from pipeline.vad import FRAME_S

PROFILE = load_profile("embedded")
FAST_S = PROFILE.turns.waits[0][1]
SURE_S, *_, LATE_S = (silence_s for _, silence_s in PROFILE.turns.waits_of_three)
"""Where the language model is a witness."""


@pytest.mark.parametrize(
    ("ends", "completeness", "wait_s"),
    [
        (1.0, 1.0, FAST_S),
        (0.97, 0.4, PROFILE.turns.longest_wait_s),
        (0.5, 1.0, PROFILE.turns.longest_wait_s),
        (0.0, 0.0, PROFILE.turns.longest_wait_s),
    ],
)
def test_the_more_speaks_for_an_end_the_less_silence_it_takes(
    call: Any, ends: float, completeness: float, wait_s: float
) -> None:
    caller = call(Script(ends=[ends], completeness=[completeness]), ScriptedCaller.take_turn)
    assert caller.at_s(caller.all(TurnCommitted)[0]) == pytest.approx(1.5 + wait_s, abs=0.06)


def test_a_fixed_silence_decides_without_the_end_of_turn_model(call: Any) -> None:
    script = Script()
    caller = call(script, ScriptedCaller.take_turn, silence_limit_s=0.8)
    assert caller.at_s(caller.all(TurnCommitted)[0]) == pytest.approx(2.3, abs=0.04)
    assert "ask" not in dict(script.calls)


LIKELY: dict[str, Any] = {"ends": [0.975], "completeness": [0.65]}
"""Of an end, without the language model: soon; with it, if it finds no sentence in what was said: later."""


def committed_s(caller: ScriptedCaller) -> float:
    return caller.at_s(caller.all(TurnCommitted)[0])


def reads(script: Script) -> list[object]:
    return [text for what, text in script.calls if what == "read"]


@pytest.mark.parametrize(("sentence", "wait_s"), [(None, FAST_S), ([0.5], SURE_S), ([0.0], LATE_S)])
def test_the_language_model_has_a_say(call: Any, sentence: list[float] | None, wait_s: float) -> None:
    script = Script(**LIKELY, sentence=sentence)
    caller = call(script, ScriptedCaller.take_turn)
    assert committed_s(caller) == pytest.approx(1.5 + wait_s, abs=0.06)
    assert reads(script) == (["hello"] if sentence else [])


def test_the_reply_is_begun_before_the_language_model_is_asked_about_the_end(call: Any) -> None:
    script = Script(**LIKELY, sentence=[0.5])
    call(script, ScriptedCaller.take_turn)
    assert [what for what, _ in script.calls if what in ("think", "read")] == ["think", "read"]


def test_an_answer_that_comes_late_is_not_waited_for_and_hurries_what_waits(call: Any) -> None:
    hurries: dict[str, Any] = {"ends": [0.92], "completeness": [0.8], "sentence": [1.0]}
    at_once = committed_s(call(Script(**hurries), ScriptedCaller.take_turn))
    late = committed_s(call(Script(**hurries, reading_s=0.7), ScriptedCaller.take_turn))
    never = committed_s(call(Script(**hurries, reading_s=1000.0), ScriptedCaller.take_turn))
    assert (at_once, late, never) == pytest.approx((1.5 + SURE_S, 1.5 + 0.9, 1.5 + LATE_S), abs=0.06)


def test_a_speaker_who_goes_on_is_not_waited_for_by_a_question_about_the_pause(call: Any) -> None:
    script = Script(**LIKELY, heard=["I was", "I was thinking"], sentence=[0.0], reading_s=1000.0)

    async def hold(caller: ScriptedCaller) -> None:
        await caller.speak(0.5)
        await caller.keep_silent(0.3)
        await caller.speak(0.2)
        assert caller.conversation._engine.jobs()["language-model"].running == 0
        await caller.speak(0.8)
        await caller.until(ReplyDone)

    caller = call(script, hold)
    assert reads(script) == ["I was", "I was thinking"]
    assert len(caller.all(TurnCommitted)) == 1


def test_a_turn_that_ends_meanwhile_leaves_no_question(call: Any) -> None:
    script = Script(**LIKELY, sentence=[0.0], reading_s=1000.0, reply=lambda messages: "One.")

    async def hold(caller: ScriptedCaller) -> None:
        await caller.speak(1.0)
        await caller.until(ReplyDone)
        assert caller.conversation._engine.jobs()["language-model"].running == 0

    assert committed_s(call(script, hold)) == pytest.approx(1.0 + SURE_S, abs=0.06)


@pytest.mark.parametrize(
    ("heard", "settings"),
    [("", {}), ("hello", {"silence_limit_s": 0.8}), ("hello", {"detect_turns": False})],
)
def test_nothing_is_asked_that_decides_nothing(call: Any, heard: str, settings: dict[str, Any]) -> None:
    script = Script(**LIKELY, heard=[heard], sentence=[1.0])

    async def hold(caller: ScriptedCaller) -> None:
        await caller.speak(1.0)
        await caller.keep_silent(1.5)
        if not caller.conversation.settings.detect_turns:
            await caller.conversation.commit()
        await caller.keep_silent(1.5)

    call(script, hold, **settings)
    assert reads(script) == []


@pytest.mark.parametrize(("ends", "completeness"), [(1.0, 1.0), (0.2, 0.2)])
def test_nothing_is_asked_where_the_others_are_sure(call: Any, ends: float, completeness: float) -> None:
    script = Script(ends=[ends], completeness=[completeness], sentence=[1.0])
    call(script, ScriptedCaller.take_turn)
    assert reads(script) == []


def test_a_turn_too_long_is_cut(call: Any) -> None:
    async def hold(caller: ScriptedCaller) -> None:
        await caller.speak(PROFILE.turns.longest_turn_s + 1)
        await caller.until(ReplyDone)

    (committed, *_) = call(Script(), hold).all(TurnCommitted)
    assert committed.end_s == pytest.approx(PROFILE.turns.longest_turn_s, abs=0.04)


def test_a_pause_for_thought_is_one_turn_and_what_was_made_of_it_leaves_no_trace(
    call: Any, whole_turn: list[str]
) -> None:
    prompts = Prompts("Yes.")
    script = Script(heard=["I was", "I was thinking"], ends=[0.1, 1.0], reply=prompts, hearing_s=0.1, thinking_s=0.1)

    async def hold(caller: ScriptedCaller) -> None:
        await caller.speak(0.5)
        await caller.keep_silent(0.4)
        await caller.take_turn()

    caller = call(script, hold)
    assert caller.kinds() == whole_turn
    assert [prompt[-1].text for prompt in prompts.seen] == ["I was", "I was thinking"]
    assert prompts.last() == [("user", "I was thinking")]
    (committed,) = caller.all(TurnCommitted)
    assert (committed.start_s, committed.end_s) == pytest.approx((0.0, 2.4), abs=0.04)


@pytest.mark.parametrize(("level", "cut_off"), [(0.005, False), (0.0, True)])
def test_nobody_is_cut_off_who_goes_on_in_the_frame_that_would_be_the_last(
    call: Any, level: float, cut_off: bool
) -> None:
    decided_in = math.ceil(FAST_S / FRAME_S)

    async def hold(caller: ScriptedCaller) -> None:
        await caller.speak(30 * FRAME_S)
        await caller.keep_silent((decided_in - 1) * FRAME_S)
        await caller.speak(FRAME_S, level=level)  # how words begin: too softly to be called speech
        await caller.speak(1.0)
        await caller.until(ReplyDone)

    committed = call(Script(), hold).all(TurnCommitted)[0]
    assert (committed.end_s < 30.5 * FRAME_S) is cut_off


def test_a_speaker_who_goes_on_stops_every_model(call: Any) -> None:
    script = Script(ends=[0.1], thinking_s=0.3, reply=lambda messages: "one two three four five six seven eight nine")

    async def hold(caller: ScriptedCaller) -> None:
        await caller.speak(0.5)
        await caller.keep_silent(0.5)
        await caller.speak(0.3)
        begun = len(script.calls)
        await caller.speak(0.5)
        assert [what for what, _ in script.calls[begun:]] == []

    assert call(script, hold).kinds() == ["SpeechStarted"]


def test_the_reply_to_a_turn_is_made_once_however_long_the_pause(call: Any) -> None:
    script = Script(ends=[0.1])
    call(script, ScriptedCaller.take_turn)
    assert [what for what, _ in script.calls if what in ("hear", "think", "speak")] == ["hear", "think", "speak"]
    turns = PROFILE.turns
    asked = 1 + int((turns.longest_wait_s - turns.ask_s) / turns.ask_again_s)
    assert [what for what, _ in script.calls].count("ask") == asked


def test_settings_that_change_in_a_pause_make_the_reply_anew(call: Any, whole_turn: list[str]) -> None:
    prompts = Prompts("Fine.")

    async def hold(caller: ScriptedCaller) -> None:
        await caller.speak(1.0)
        await caller.keep_silent(0.3)
        caller.conversation.settings = replace(caller.conversation.settings, instructions="Be a pirate.")
        await caller.until(ReplyDone)

    caller = call(Script(reply=prompts), hold)
    assert prompts.seen[-1][0].text == "Be a pirate."
    assert caller.kinds() == whole_turn


def test_what_is_said_is_transcribed_while_it_is_being_said(call: Any) -> None:
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


LOUD, SOFT = 0.9, 0.02
"""Levels; the second is called speech, too, and is 33 dB below the first."""


async def ends_softly(caller: ScriptedCaller) -> None:
    await caller.speak(1.0, level=LOUD)
    await caller.speak(0.2, level=SOFT)
    await caller.until(ReplyDone)


def test_what_it_takes_to_answer_begins_while_the_last_word_dies_away(call: Any) -> None:
    caller = call(Script(partly="hello"), ends_softly)
    (committed,) = caller.all(TurnCommitted)
    (done,) = caller.all(ReplyDone)
    assert done.trace.pause_s == pytest.approx(1.0 + PROFILE.turns.faded_s, abs=FRAME_S)
    assert committed.end_s == pytest.approx(1.0, abs=FRAME_S)


@pytest.mark.parametrize("silence_limit_s", [None, 0.0, 0.2])
def test_no_turn_is_over_while_somebody_speaks_softly(call: Any, silence_limit_s: float | None) -> None:
    script = Script(partly="hello", heard=["hello, can you hear me"], ends=[1.0], completeness=[1.0])

    async def hold(caller: ScriptedCaller) -> None:
        await caller.speak(1.0, level=LOUD)
        await caller.speak(2.0, level=SOFT)
        assert not caller.all(TurnCommitted)
        await caller.until(ReplyDone)

    caller = call(script, hold, silence_limit_s=silence_limit_s)
    assert [one.text for one in caller.all(Transcribed)] == ["hello, can you hear me"]


def test_a_reply_begun_while_a_word_seemed_to_die_away_is_dropped_when_it_goes_on(call: Any) -> None:
    script = Script(partly="once", heard=["once upon a time"], reply=lambda messages: messages[-1].text)

    async def hold(caller: ScriptedCaller) -> None:
        for _ in range(3):
            await caller.speak(0.5, level=LOUD)
            await caller.speak(0.2, level=SOFT)
        await caller.speak(0.5, level=LOUD)
        await caller.until(ReplyDone)

    caller = call(script, hold)
    assert script.calls.count(("think", "once")) == 3
    assert "".join(one.text for one in caller.all(ReplyText)) == "once upon a time"


def test_a_turn_that_the_caller_ends_while_it_fades_is_heard_to_its_end(call: Any) -> None:
    script = Script(partly="once", heard=["once upon a time"])

    async def hold(caller: ScriptedCaller) -> None:
        await caller.speak(0.5, level=LOUD)
        await caller.speak(0.2, level=SOFT)
        await caller.play(np.zeros(400, np.float32))  # less than a frame
        await caller.conversation.commit()
        await caller.until(ReplyDone)

    call(script, hold)
    assert len([what for what, _ in script.calls if what.startswith("hear")]) == 2


@pytest.mark.parametrize(("silent_s", "again"), [(0.2, True), (0.9, False)])
def test_a_draft_dropped_for_a_pause_is_made_again_at_once_unless_the_pause_was_heard(
    call: Any, silent_s: float, again: bool
) -> None:
    script = Script(partly="once", heard=["once upon", "once upon a time"], ends=[0.0, 1.0], hearing_s=0.3)

    async def hold(caller: ScriptedCaller) -> None:
        await caller.speak(1.2)
        await caller.keep_silent(silent_s)
        await caller.speak(0.6)
        await caller.until(ReplyDone)

    call(script, hold)
    hearing = [what for what, _ in script.calls if what.startswith("hear")]
    assert hearing == ["hear partly", "hear", *(["hear partly"] if again else []), "hear"]


def test_a_long_turn_is_not_heard_again_from_its_beginning(call: Any) -> None:
    prompts = Prompts("Fine.")
    script = Script(heard=["the first part", "and the second"], ends=[0.2, 1.0], reply=prompts)

    async def hold(caller: ScriptedCaller) -> None:
        await caller.speak(PROFILE.turns.settle_s + 1)
        await caller.keep_silent(0.5)
        await caller.take_turn()

    caller = call(script, hold)
    (heard,) = caller.all(Transcribed)
    assert heard.text == "the first part and the second"
    assert heard.audio_s == pytest.approx(PROFILE.turns.settle_s + 1 + 0.5 + 0.5 + 1.0 + FAST_S, abs=0.1)
    assert prompts.last() == [("user", "the first part and the second")]
