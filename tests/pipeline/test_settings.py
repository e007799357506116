"""How settings change the profile's way of taking turns."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.events import ReplyDone, SpeechStarted, TurnCommitted
from pipeline.profiles import load_profile
from pipeline.settings import ConversationSettings
from pipeline.testing import Script, ScriptedCaller

PROFILE = load_profile("embedded").turns


def test_without_a_word_the_profile_holds() -> None:
    assert ConversationSettings().turn_taking(PROFILE) == PROFILE


def test_the_threshold_of_silence_follows_that_of_speech() -> None:
    taking = ConversationSettings(speech_threshold=0.8).turn_taking(PROFILE)
    assert (taking.speech_threshold, taking.silence_threshold) == pytest.approx((0.8, 0.56))


@pytest.mark.parametrize("patience", [0.5, 1.0, 2.0])
def test_patience_stretches_the_silence_that_ends_a_turn(call: Any, patience: float) -> None:
    caller = call(Script(), ScriptedCaller.take_turn, patience=patience)
    (committed,) = caller.all(TurnCommitted)
    assert caller.at_s(committed) == pytest.approx(committed.end_s + PROFILE.waits[0][1] * patience, abs=0.06)


def test_the_threshold_decides_what_is_speech(call: Any) -> None:
    async def hold(caller: ScriptedCaller) -> None:
        await caller.speak(1.0)
        await caller.keep_silent(3.0)
        assert not caller.all(SpeechStarted)
        caller.conversation.settings = ConversationSettings()
        await caller.speak(1.0)
        await caller.until(ReplyDone)

    call(Script(), hold, speech_threshold=1.01)


@pytest.mark.parametrize("prefix_s", [0.0, 0.2, 0.45])
def test_the_audio_of_a_turn_begins_before_its_onset(call: Any, prefix_s: float) -> None:
    (started,) = call(Script(), ScriptedCaller.take_turn, prefix_s=prefix_s).all(SpeechStarted)
    assert started.at_s - started.audio_from_s == pytest.approx(prefix_s)
