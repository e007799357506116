"""Many conversations on one set of scripted models, in virtual time."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from harness.virtual_time import run
from pipeline.audio import OUTPUT_RATE_HZ
from pipeline.clauses import ClauseSplitter
from pipeline.events import ReplyAudio, ReplyText, TurnFailed
from pipeline.languages import Language
from pipeline.profiles import load_profile
from pipeline.settings import ConversationSettings
from pipeline.testing import Script, ScriptedCaller, scripted_engine

PREBUFFER_S = 0.2
PROFILE = load_profile("embedded")


def first_audio_and_gaps(
    count: int, script: Script, profile: object = PROFILE, *, apart_s: float = 0.0
) -> tuple[list[float], int]:
    """So many callers, each speaking `apart_s` after the one before: when each heard something first, and how often a
    reply of any ran dry."""

    async def take_turn(number: int, caller: ScriptedCaller) -> None:
        await asyncio.sleep(number * apart_s)
        await caller.take_turn()

    async def main() -> list[ScriptedCaller]:
        engine = scripted_engine(script, profile=profile)  # type: ignore[arg-type]  # a Profile, made by `replace`
        callers = [ScriptedCaller(engine) for _ in range(count)]
        for caller in callers:
            await caller.__aenter__()
        async with asyncio.TaskGroup() as tasks:
            for number, caller in enumerate(callers):
                tasks.create_task(take_turn(number, caller))
        for caller in callers:
            await caller.__aexit__(None, None, None)
        await engine.aclose()
        return callers

    first, gaps = [], 0
    for caller in run(main()):
        audio = caller.all(ReplyAudio)
        first.append(caller.at_s(audio[0]))
        dry_s = first[-1] + PREBUFFER_S
        for piece in audio:
            gaps += caller.at_s(piece) > dry_s + 0.001
            dry_s = max(dry_s, caller.at_s(piece)) + piece.samples_24k.size / OUTPUT_RATE_HZ
    return first, gaps


def slow_synthesis(sounding_s: float = 0.06) -> Script:
    """Of two clauses at once each is made faster than it is heard; but it is not fast enough for four."""
    words = "One two three four five six seven eight nine ten. " * 2
    return Script(reply=lambda messages: words, sounding_s=sounding_s)


def test_replies_that_are_made_side_by_side_have_a_head_start_and_no_gaps() -> None:
    speech = replace(PROFILE.text_to_speech, head_start_s=0.0)
    _, gaps = first_audio_and_gaps(4, slow_synthesis(), replace(PROFILE, text_to_speech=speech))
    assert gaps > 0  # so it would be without
    first, gaps = first_audio_and_gaps(4, slow_synthesis())
    assert gaps == 0
    (alone,), _ = first_audio_and_gaps(1, slow_synthesis())
    assert max(first) - alone < 4 / 2 * 0.06 * (10 * 3 * PROFILE.text_to_speech.head_start_s + 1)


@pytest.mark.parametrize("apart_s", [0.2, 0.3])
def test_a_reply_that_is_heard_does_not_run_dry_for_those_that_are_not_yet(apart_s: float) -> None:
    enough = replace(PROFILE.text_to_speech, head_start_s=0.35)  # for synthesis that is as slow as this
    profile = replace(PROFILE, text_to_speech=enough)
    _, gaps = first_audio_and_gaps(4, slow_synthesis(0.064), profile, apart_s=apart_s)
    assert gaps == 0


def test_only_what_somebody_waits_for_is_heard_in_haste_and_not_while_a_reply_is_spoken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It takes a second core, which the reply needs."""
    audio, english = np.zeros(16_000, np.float32), {Language.EN: 1.0}
    hasty: list[bool] = []

    async def main() -> None:
        engine = scripted_engine(Script(speaking_s=0.2))
        hearing = engine._models.speech_to_text
        transcribe = hearing.transcribe

        def watched(*args: Any, quick: bool, **kwargs: Any) -> Any:
            hasty.append(quick)
            return transcribe(*args, quick=quick, **kwargs)

        monkeypatch.setattr(hearing, "transcribe", watched)
        await engine.transcribe(audio, english)
        await engine.transcribe(audio, english, deadline_s=0.0)
        speech = engine.speak("Hello", Language.EN, engine.voice(Language.EN, None), 1.0, deadline_s=0.0)
        speaking = asyncio.create_task(anext(speech))
        await asyncio.sleep(0.1)
        await engine.transcribe(audio, english, deadline_s=0.0)
        await speaking
        await speech.aclose()
        await engine.aclose()

    run(main())
    assert hasty == [False, True, False]


def test_whoever_is_alone_does_not_wait_for_a_head_start() -> None:
    speech = replace(PROFILE.text_to_speech, head_start_s=0.0)
    with_it, _ = first_audio_and_gaps(1, slow_synthesis())
    without_it, _ = first_audio_and_gaps(1, slow_synthesis(), replace(PROFILE, text_to_speech=speech))
    assert with_it == without_it


def test_whoever_is_answered_while_others_are_heard_or_answered_has_a_head_start() -> None:
    speech = PROFILE.text_to_speech

    async def main() -> list[float]:
        engine = scripted_engine(Script())
        with engine.making_reply() as head_start_s:
            told = [head_start_s()]
            await engine.transcribe(np.zeros(16_000, np.float32), {Language.EN: 1.0}, deadline_s=0.0)
            told.append(head_start_s())  # of whom else, if not of the caller who waits
            with engine.making_reply() as another_s, engine.making_reply():
                told += [head_start_s(), another_s()]
        await engine.aclose()
        return told

    assert run(main()) == pytest.approx([0.0, *[speech.head_start_s * others for others in (1, 2, 2)]])


@pytest.mark.parametrize(("silent_s", "later_s"), [(0.1, 0.3), (8.0, 0.5)])
def test_a_reply_beside_others_begins_when_it_is_known_how_it_goes_on(silent_s: float, later_s: float) -> None:
    """Its first clause is longer than the head start, and then nothing is written for a while; or for too long."""

    def answer(messages: object) -> list[str]:
        return ["It was dark there and ", *[""] * round(silent_s / 0.1), "over. And so it goes."]

    first, _ = first_audio_and_gaps(2, Script(reply=answer, thinking_s=0.1))
    (alone,), _ = first_audio_and_gaps(1, Script(reply=answer, thinking_s=0.1))
    assert [at_s - alone for at_s in first] == pytest.approx([later_s, later_s], abs=0.08)


def test_a_reply_shorter_than_its_head_start_is_heard_when_all_of_it_is_made() -> None:
    first, gaps = first_audio_and_gaps(8, Script(reply=lambda messages: "Yes.", sounding_s=0.028))
    assert len(first) == 8
    assert gaps == 0


def test_a_head_start_is_no_longer_than_there_is_room_for() -> None:
    speech = replace(PROFILE.text_to_speech, head_start_s=100.0, most_head_start_s=100.0, ahead_s=1.0)
    script = Script(reply=lambda messages: "One two three four five six seven eight nine ten.")
    first, _ = first_audio_and_gaps(3, script, replace(PROFILE, text_to_speech=speech))
    assert len(first) == 3


def test_a_synthesiser_that_hangs_before_the_head_start_is_made_fails_the_reply() -> None:
    async def main() -> list[TurnFailed]:
        engine = scripted_engine(script)
        async with ScriptedCaller(engine) as one, ScriptedCaller(engine) as other:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(one.take_turn())
                tasks.create_task(other.take_turn())
            failed = one.all(TurnFailed) + other.all(TurnFailed)
        await engine.aclose()
        return failed

    script = Script(reply=lambda messages: "One two three four five six seven eight.", sounding_s=25.0)
    assert {failed.stage for failed in run(main())} == {"text_to_speech"}


SLOWLY = Script(
    reply=lambda messages: "I assure everybody " + "of certain reasons and differently " * 3, thinking_s=0.35
)
"""Written a little faster than it is heard; but the second clause takes longer than the first is heard."""


def test_a_language_model_that_writes_no_slower_than_it_is_heard_leaves_no_gap(monkeypatch: pytest.MonkeyPatch) -> None:
    assert first_audio_and_gaps(1, SLOWLY)[1] == 0
    monkeypatch.setattr(ClauseSplitter, "hurry", lambda splitter: "")
    assert first_audio_and_gaps(1, SLOWLY)[1] > 0  # so it would be if clauses had to be complete


def test_a_reply_that_was_made_ahead_and_is_released_while_nothing_is_written_leaves_no_gap() -> None:
    """Some words of its second clause were there before: nothing else tells that they cannot be waited for any more."""

    def answer(messages: object) -> list[str]:
        return ["I assure everybody of certain reasons and differently ", *[""] * 70, "of others."]

    assert first_audio_and_gaps(1, Script(reply=answer, thinking_s=0.02, speaking_s=0.02))[1] == 0


def test_clauses_are_complete_where_the_language_model_is_fast_enough() -> None:
    async def main() -> list[str]:
        engine = scripted_engine(replace(SLOWLY, thinking_s=0.05))
        async with ScriptedCaller(engine) as caller:
            await caller.take_turn()
        await engine.aclose()
        return [text.text for text in caller.all(ReplyText)]

    assert run(main()) == whole_clauses(SLOWLY)


def test_clauses_are_complete_where_nothing_is_spoken() -> None:
    async def main() -> list[str]:
        engine = scripted_engine(SLOWLY)
        async with ScriptedCaller(engine, ConversationSettings(speak=False)) as caller:
            await caller.take_turn()
        await engine.aclose()
        return [text.text for text in caller.all(ReplyText)]

    assert run(main()) == whole_clauses(SLOWLY)


def whole_clauses(script: Script) -> list[str]:
    splitter = ClauseSplitter(Language.EN)
    return splitter.push(str(script.reply([]))) + splitter.finish()


def test_a_reply_as_long_as_a_client_may_write_one_is_not_looked_through_in_one_go(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whatever it is made of, and though the model gives all of it at once, as `echo` does."""
    read: list[int] = []
    push = ClauseSplitter.push

    def noted(splitter: ClauseSplitter, text: str) -> list[str]:
        read.append(len(splitter._text) + len(text))
        return push(splitter, text)

    monkeypatch.setattr(ClauseSplitter, "push", noted)
    words = "a" * 20_000

    async def main() -> str:
        engine = scripted_engine(Script(reply=lambda messages: words))
        async with ScriptedCaller(engine, ConversationSettings(speak=False)) as caller:
            await caller.take_turn()
        await engine.aclose()
        return "".join(text.text for text in caller.all(ReplyText))

    assert run(main()) == words
    assert len(read) == 400
    assert max(read) <= 1_050
