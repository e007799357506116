"""What is cleared, cancelled, or left by a caller who hangs up or does not fetch what is sent."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
import pytest

from harness.virtual_time import run
from pipeline.errors import ReplyActiveError
from pipeline.events import ReplyAudio, ReplyDone, ReplyStarted
from pipeline.profiles import load_profile
from pipeline.testing import Prompts, Script, ScriptedCaller, scripted_engine

PROFILE = load_profile("embedded")


def test_audio_that_was_cleared_is_never_heard_of_again(call: Any) -> None:
    async def hold(caller: ScriptedCaller) -> None:
        await caller.speak(1.0)
        await caller.keep_silent(0.2)
        await caller.conversation.clear()
        await caller.keep_silent(3.0)

    assert call(Script(hearing_s=0.1), hold).kinds() == ["SpeechStarted"]


def test_a_cancelled_reply_says_nothing_more(call: Any) -> None:
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


@pytest.mark.parametrize("cancelled", [True, False])
def test_what_the_client_says_to_have_heard_is_not_overruled(call: Any, cancelled: bool) -> None:
    prompts = Prompts("One two three four. Five six seven eight.", "Fine.")

    async def hold(caller: ScriptedCaller) -> None:
        await caller.speak(1.0)
        message = (await caller.until(ReplyStarted)).message
        await caller.keep_silent(1.0)
        caller.conversation.truncate_message(message, "One two")
        if cancelled:
            await caller.conversation.cancel_reply()
        await caller.until(ReplyDone)
        await caller.keep_silent(1.0)
        await caller.speak(1.0)
        await caller.until(ReplyDone, count=2)

    call(Script(reply=prompts), hold)
    assert prompts.last() == [("user", "hello"), ("assistant", "One two"), ("user", "hello")]


@pytest.mark.parametrize("interrupt", [True, False])
@pytest.mark.parametrize("after", range(12))
def test_a_reply_that_is_cancelled_when_the_next_begins_ends_before_it(call: Any, after: int, interrupt: bool) -> None:
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


def test_a_reply_is_sent_no_further_ahead_than_it_can_be_taken_back(call: Any) -> None:
    caller = call(
        Script(reply=lambda messages: "one two three four five six seven eight. " * 4), ScriptedCaller.take_turn
    )
    sent_s, started_s = 0.0, caller.at_s(caller.all(ReplyAudio)[0])
    for audio in caller.all(ReplyAudio):
        assert sent_s - (caller.at_s(audio) - started_s) <= PROFILE.text_to_speech.lead_s + 0.001
        sent_s += audio.samples_24k.size / 24_000
    assert sent_s > 5


def test_a_conversation_may_have_a_lead_of_its_own(call: Any) -> None:
    script = Script(reply=lambda messages: "one two three four five six seven eight. " * 4)
    caller = call(script, ScriptedCaller.take_turn, lead_s=0.7)
    first, *_ = pieces = caller.all(ReplyAudio)
    at_once_s = (
        sum(piece.samples_24k.size for piece in pieces if caller.at_s(piece) < caller.at_s(first) + 0.05) / 24_000
    )
    assert 0.7 <= at_once_s <= 0.85


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
def test_a_caller_who_vanishes_leaves_nothing_behind(call: Any, after_s: float, last: str) -> None:
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
def test_a_caller_who_vanishes_after_the_commit_is_not_answered(call: Any, transcribed_s: float) -> None:
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
