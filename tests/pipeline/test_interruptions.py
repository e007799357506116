"""Speaking over a reply: what ends it, what does not, and what is remembered of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import soxr

from harness.virtual_time import run
from pipeline.audio import OUTPUT_RATE_HZ
from pipeline.errors import NothingToCommitError
from pipeline.events import (
    Event,
    ReplyAudio,
    ReplyDone,
    ReplyStarted,
    ReplyText,
    SpeechStarted,
    Transcribed,
    TurnCommitted,
)
from pipeline.lm.base import Message
from pipeline.profiles import load_profile
from pipeline.settings import ConversationSettings
from pipeline.testing import Prompts, Script, ScriptedCaller, scripted_engine
from pipeline.vad import FRAME_S

LONG_REPLY = "This is the first sentence. " * 8
TURNS = load_profile("embedded").turns


class Replies:
    """A long reply to the first turn, a short one to any other; keeps the messages of each prompt."""

    def __init__(self) -> None:
        self.prompts: list[list[Message]] = []

    def __call__(self, messages: Sequence[Message]) -> str:
        self.prompts.append(list(messages))
        return LONG_REPLY.strip() if len(messages) == 2 else "Fine."


def call(
    script: Script, hold: Callable[[ScriptedCaller], Coroutine[Any, Any, None]], **settings: Any
) -> ScriptedCaller:
    async def main() -> ScriptedCaller:
        async with ScriptedCaller(scripted_engine(script), ConversationSettings(**settings)) as caller:
            await caller.speak(1.0)
            await caller.until(ReplyAudio)
            await caller.keep_silent(1.5)
            await hold(caller)
        return caller

    return run(main())


def test_a_caller_who_speaks_over_a_reply_ends_it() -> None:
    replies = Replies()
    began_s: list[float] = []

    async def interrupt(caller: ScriptedCaller) -> None:
        began_s.append(asyncio.get_running_loop().time())
        await caller.speak(1.2)
        await caller.until(ReplyDone, count=2)

    caller = call(Script(heard=["go on", "wait a minute"], reply=replies), interrupt)
    first, second = caller.all(ReplyDone)
    assert (first.status, second.status) == ("cancelled", "completed")
    before = [at_s for at_s, event in caller.heard if isinstance(event, ReplyAudio) and event.reply == first.reply]
    assert max(before) - began_s[0] <= 0.25
    assert [event.text for event in caller.all(Transcribed)] == ["go on", "wait a minute"]


def test_a_reply_pauses_at_the_first_frame_of_speech_over_it() -> None:
    began_s: list[float] = []

    async def interrupt(caller: ScriptedCaller) -> None:
        began_s.append(asyncio.get_running_loop().time())
        await caller.speak(1.2)
        await caller.until(ReplyDone)

    caller = call(Script(heard=["go on", "wait a minute"], reply=Replies()), interrupt)
    first = caller.all(ReplyDone)[0].reply
    last_s = max(at_s for at_s, event in caller.heard if isinstance(event, ReplyAudio) and event.reply == first)
    assert last_s - began_s[0] <= 2 * FRAME_S


def test_a_click_over_a_reply_is_not_heard_in_it() -> None:
    async def click(caller: ScriptedCaller) -> None:
        await caller.speak(FRAME_S)
        await caller.until(ReplyDone)

    caller = call(Script(heard=["go on"], reply=Replies()), click)
    assert caller.all(ReplyDone)[0].status == "completed"
    pieces = caller.all(ReplyAudio)
    runs_dry_s = caller.at_s(pieces[0])
    for piece in pieces:
        assert caller.at_s(piece) <= runs_dry_s + 0.001
        runs_dry_s = max(runs_dry_s, caller.at_s(piece)) + piece.samples_24k.size / OUTPUT_RATE_HZ


def test_a_caller_who_is_muted_with_a_click_hears_the_reply_go_on() -> None:
    async def mute(caller: ScriptedCaller) -> None:
        await caller.speak(FRAME_S)
        heard = len(caller.all(ReplyAudio))
        await asyncio.sleep(0.5)  # and not a frame more
        assert len(caller.all(ReplyAudio)) > heard

    call(Script(heard=["go on"], reply=Replies()), mute)


def test_of_an_interrupted_reply_only_what_was_heard_is_remembered() -> None:
    replies = Replies()

    async def interrupt(caller: ScriptedCaller) -> None:
        await caller.speak(1.2)
        await caller.until(ReplyDone, count=2)

    caller = call(Script(heard=["go on", "wait a minute"], reply=replies), interrupt)
    heard = caller.all(ReplyDone)[0].heard
    remembered = replies.prompts[-1][2].text
    assert remembered == heard
    assert LONG_REPLY.startswith(heard)
    # 1.5 s and the moment until the interruption is noticed, at 50 ms a character.
    assert 1.4 / 0.05 - 10 <= len(heard) <= 2.2 / 0.05


@pytest.mark.parametrize("murmur", ["Mhm.", "", "Yeah, yeah."])
def test_a_backchannel_or_a_cough_does_not(murmur: str) -> None:
    replies = Replies()

    async def listen(caller: ScriptedCaller) -> None:
        await caller.speak(0.3)
        await caller.until(ReplyDone)

    caller = call(Script(heard=["go on", murmur], reply=replies), listen)
    (done,) = caller.all(ReplyDone)
    assert done.status == "completed"
    assert done.text.split() == LONG_REPLY.split()
    assert len(caller.all(SpeechStarted)) == 1
    assert "".join(event.text for event in caller.all(ReplyText)) == done.text


@pytest.mark.parametrize(
    ("said", "spoken_s", "statuses"),
    [
        pytest.param("Mhm.", 0.3, ["completed"], id="a backchannel"),
        pytest.param("Wait!", 0.3, ["cancelled", "completed"], id="an interruption"),
        pytest.param("Wait a minute.", 1.2, ["cancelled", "completed"], id="a long one"),
    ],
)
def test_a_reply_that_has_run_dry_is_spoken_over_as_any_other(said: str, spoken_s: float, statuses: list[str]) -> None:
    prompts = Prompts("This is the first sentence. This is the second.", "Fine.")

    async def main() -> ScriptedCaller:
        async with ScriptedCaller(
            scripted_engine(Script(heard=["go on", said], reply=prompts, speaking_s=4.0))
        ) as caller:
            await caller.speak(1.0)
            await caller.until(ReplyAudio)
            await caller.keep_silent(2.5)
            sent_s = sum(event.samples_24k.size for event in caller.all(ReplyAudio)) / OUTPUT_RATE_HZ
            assert sent_s < 2.0
            await caller.speak(spoken_s)
            await caller.until(ReplyDone, count=len(statuses))
        return caller

    caller = run(main())
    assert [done.status for done in caller.all(ReplyDone)] == statuses
    assert len(caller.all(SpeechStarted)) == len(statuses)
    assert caller.all(ReplyDone)[0].heard.startswith("This is the first sentence.")
    if len(statuses) > 1:
        assert prompts.last() == [("user", "go on"), ("assistant", "This is the first sentence."), ("user", said)]


def test_a_long_backchannel_does_not() -> None:
    async def listen(caller: ScriptedCaller) -> None:
        await caller.speak(0.8)
        await caller.until(ReplyDone)

    caller = call(Script(heard=["go on", "Yes, of course."], reply=Replies()), listen)
    assert [done.status for done in caller.all(ReplyDone)] == ["completed"]


@pytest.mark.parametrize(
    ("spoken_s", "text", "confidence", "statuses"),
    [
        (0.3, "Nice love.", 0.4, ["completed"]),
        (0.3, "Nice love.", 0.8, ["cancelled", "completed"]),
        (0.7, "Nice love.", 0.4, ["cancelled", "completed"]),
        (0.3, "Stop!", 0.4, ["cancelled", "completed"]),
    ],
    ids=["a hum taken for a word", "a word", "more than a hum", "a request to stop"],
)
def test_in_little_speech_the_recogniser_has_to_be_sure(
    spoken_s: float, text: str, confidence: float, statuses: list[str]
) -> None:
    async def murmur(caller: ScriptedCaller) -> None:
        await caller.speak(spoken_s)
        await caller.until(ReplyDone, count=len(statuses))

    script = Script(heard=["go on", text], confidence=[1.0, confidence], reply=Replies())
    assert [done.status for done in call(script, murmur).all(ReplyDone)] == statuses


def test_a_reply_is_not_ended_before_it_is_known_what_was_said_over_it() -> None:
    async def listen(caller: ScriptedCaller) -> None:
        await caller.speak(0.3)
        await caller.until(ReplyDone)

    script = Script(heard=["go on", "Mhm."], reply=Replies(), hearing_s=0.5)
    caller = call(script, listen, silence_limit_s=0.2)
    assert [done.status for done in caller.all(ReplyDone)] == ["completed"]


def test_short_words_that_mean_something_do() -> None:
    async def interrupt(caller: ScriptedCaller) -> None:
        await caller.speak(0.3)
        await caller.until(ReplyDone, count=2)

    caller = call(Script(heard=["go on", "Stop!"], reply=Replies()), interrupt)
    assert [done.status for done in caller.all(ReplyDone)] == ["cancelled", "completed"]


def test_the_replys_own_echo_does_not() -> None:
    async def echo(caller: ScriptedCaller) -> None:
        said = np.concatenate([event.samples_24k for event in caller.all(ReplyAudio)])
        # A quarter of it comes back, a tenth of a second late; what has been played so far is played again from now on.
        begun_s = caller.at_s(caller.all(ReplyAudio)[0])
        played_s = asyncio.get_running_loop().time() - begun_s
        heard = said[round((played_s - 0.1) * OUTPUT_RATE_HZ) :][: round(0.3 * OUTPUT_RATE_HZ)]
        await caller.play((0.25 * soxr.resample(heard, OUTPUT_RATE_HZ, 16_000)).astype(np.float32))
        await caller.until(ReplyDone)

    script = Script(heard=["go on", "This is the first sentence"], reply=Replies())
    caller = call(script, echo)
    assert [done.status for done in caller.all(ReplyDone)] == ["completed"]
    assert len(caller.all(SpeechStarted)) == 1


def test_the_echo_of_the_last_word_opens_no_turn() -> None:
    async def main() -> ScriptedCaller:
        async with ScriptedCaller(scripted_engine()) as caller:
            await caller.speak(1.0)
            begun_s = caller.at_s(await caller.until(ReplyAudio))
            await caller.keep_silent(0.4 - (asyncio.get_running_loop().time() - begun_s))
            said = np.concatenate([event.samples_24k for event in caller.all(ReplyAudio)])
            await caller.play((0.25 * soxr.resample(said, OUTPUT_RATE_HZ, 16_000)).astype(np.float32))
            await caller.keep_silent(2.0)
        return caller

    assert len(run(main()).all(SpeechStarted)) == 1


def test_audio_that_is_cleared_while_it_overlaps_lets_the_reply_go_on() -> None:
    async def clear(caller: ScriptedCaller) -> None:
        await caller.speak(0.3)
        await caller.conversation.clear()
        await caller.until(ReplyDone)

    caller = call(Script(heard=["go on", "wait"], reply=Replies()), clear)
    assert [done.status for done in caller.all(ReplyDone)] == ["completed"]
    assert len(caller.all(SpeechStarted)) == 1


@pytest.mark.parametrize(
    ("said", "statuses"), [("Mhm.", ["completed"]), ("Wait a minute.", ["cancelled", "completed"])]
)
def test_a_caller_who_is_muted_while_the_reply_is_held_hears_it_go_on(said: str, statuses: list[str]) -> None:
    async def mute(caller: ScriptedCaller) -> None:
        await caller.speak(0.3)
        held = len(caller.all(ReplyAudio))
        await asyncio.sleep(8.0)
        assert len(caller.all(ReplyAudio)) > held + 10
        await caller.until(ReplyDone, count=len(statuses))

    caller = call(Script(heard=["go on", said], reply=Replies()), mute)
    assert [done.status for done in caller.all(ReplyDone)] == statuses


def test_what_is_said_over_a_reply_that_the_client_cancels_is_a_turn() -> None:
    replies = Replies()

    async def cancel(caller: ScriptedCaller) -> None:
        await caller.speak(0.3)
        await caller.conversation.cancel_reply()
        await caller.until(ReplyDone, count=2)

    caller = call(Script(heard=["shall I stop?", "Yes."], reply=replies), cancel)
    assert [done.status for done in caller.all(ReplyDone)] == ["cancelled", "completed"]
    assert [started.turn for started in caller.all(SpeechStarted)] == [1, 2]
    assert replies.prompts[-1][-1].text == "Yes."


def test_whoever_changes_to_push_to_talk_while_speaking_lets_the_reply_go_on() -> None:
    async def change(caller: ScriptedCaller) -> None:
        await caller.speak(0.3)
        caller.conversation.settings = replace(caller.conversation.settings, detect_turns=False)
        await caller.until(ReplyDone)

    caller = call(Script(heard=["go on", "wait"], reply=Replies()), change)
    assert [done.status for done in caller.all(ReplyDone)] == ["completed"]


def test_a_turn_is_committed_once_when_two_ask_for_it() -> None:
    refused: list[BaseException | None] = []

    async def commit(caller: ScriptedCaller) -> None:
        await caller.speak(0.3)
        await caller.keep_silent(0.04)
        commits = [caller.conversation.commit() for _ in range(2)]
        refused.extend(await asyncio.gather(*commits, return_exceptions=True))
        await caller.until(ReplyDone, count=2)

    caller = call(Script(heard=["go on", "wait"], reply=Replies()), commit)
    assert [done.status for done in caller.all(ReplyDone)] == ["cancelled", "completed"]
    assert [type(error) for error in refused] == [type(None), NothingToCommitError]


@pytest.mark.parametrize(
    ("moment", "times", "statuses", "remembered"),
    [
        pytest.param(TurnCommitted, {"hearing_s": 1.4}, ["completed"], "", id="while it is transcribed"),
        pytest.param(ReplyStarted, {"thinking_s": 2.0}, ["cancelled", "completed"], "", id="while it is thought"),
        pytest.param(ReplyStarted, {"speaking_s": 4.0}, ["cancelled", "completed"], "", id="before its first sound"),
        pytest.param(ReplyAudio, {}, ["cancelled", "completed"], "One", id="while its first clause is sent"),
        pytest.param(
            ReplyDone,
            {},
            ["completed", "completed"],
            "One two three four. Five six seven eight.",
            id="when all was sent",
        ),
    ],
)
def test_a_caller_may_speak_again_at_any_moment(
    moment: type[Event], times: dict[str, float], statuses: list[str], remembered: str
) -> None:
    prompts: list[Sequence[Message]] = []

    def reply(messages: Sequence[Message]) -> str:
        prompts.append(messages)
        return "One two three four. Five six seven eight."

    async def main() -> ScriptedCaller:
        script = Script(heard=["go on", "wait"], reply=reply, **times)
        async with ScriptedCaller(scripted_engine(script)) as caller:
            await caller.speak(1.0)
            await caller.until(moment)
            await caller.speak(0.2)
            await caller.until(ReplyDone, count=len(statuses), within_s=60.0)
        return caller

    caller = run(main())
    assert [done.status for done in caller.all(ReplyDone)] == statuses
    assert [heard.text for heard in caller.all(Transcribed)] == ["go on", "wait"]
    history = [("user", "go on"), ("assistant", remembered), ("user", "wait")]
    asked = [(message.role, message.text) for message in prompts[-1][1:]]
    assert asked == [said for said in history if said[1]]


def test_without_interruption_the_next_reply_waits() -> None:
    async def speak_over(caller: ScriptedCaller) -> None:
        await caller.speak(1.2)
        await caller.until(ReplyDone, count=2)

    caller = call(Script(heard=["go on", "wait a minute"], reply=Replies()), speak_over, interrupt=False)
    first, second = caller.all(ReplyDone)
    assert (first.status, second.status) == ("completed", "completed")
    assert first.text.split() == LONG_REPLY.split()


def test_without_interruption_what_was_said_meanwhile_is_answered_turn_by_turn() -> None:
    async def speak_over(caller: ScriptedCaller) -> None:
        for _ in range(2):
            await caller.speak(0.8)
            await caller.keep_silent(1.0)
        await caller.until(ReplyDone, count=3)

    caller = call(Script(heard=["go on", "wait", "stop"], reply=Replies()), speak_over, interrupt=False)
    order = [type(event) for _, event in caller.heard if isinstance(event, Transcribed | ReplyStarted | ReplyDone)]
    assert order == [Transcribed, ReplyStarted, ReplyDone] * 3
    assert [event.text for event in caller.all(Transcribed)] == ["go on", "wait", "stop"]
