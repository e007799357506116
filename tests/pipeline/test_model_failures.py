"""A model that fails, breaks off or hangs: what of the conversation ends, and what goes on."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from harness.virtual_time import run
from pipeline.events import ReplyDone, Transcribed, TurnCommitted, TurnFailed
from pipeline.languages import Language
from pipeline.lm.base import Message
from pipeline.profiles import load_profile
from pipeline.testing import Script, ScriptedCaller, scripted_engine

PROFILE = load_profile("embedded")
FAST_S = PROFILE.turns.waits[0][1]
BROKEN = RuntimeError("the model broke")


def failing(*_: object, **__: object) -> Any:
    raise BROKEN


def breaking_off(produce: Callable[..., Iterator[Any]], after: int, broken: Callable[[], None]) -> Any:
    """A model's method that makes so many pieces and no more."""

    def pieces(*args: Any, **kwargs: Any) -> Iterator[Any]:
        yield from itertools.islice(produce(*args, **kwargs), after)
        broken()
        yield None

    return pieces


@pytest.mark.parametrize(("models", "call_name"), [("speech_to_text", "transcribe"), ("language_model", "prepare")])
def test_what_fails_ahead_of_time_is_made_when_it_is_due(whole_turn: list[str], models: str, call_name: str) -> None:
    async def main() -> ScriptedCaller:
        engine = scripted_engine(Script(partly="once", heard=["once upon a time"]))
        model: Any = engine._models.speech_to_text
        if models == "language_model":
            model = engine._models.language_models[Language.EN]
        works = getattr(model, call_name)
        setattr(model, call_name, failing)
        async with ScriptedCaller(engine) as caller:
            await caller.speak(1.5)
            setattr(model, call_name, works)
            await caller.until(ReplyDone)
        return caller

    caller = run(main())
    assert caller.kinds() == whole_turn
    assert caller.all(Transcribed)[0].text == "once upon a time"


def test_a_failing_speech_to_text_loses_its_turn_only(call: Any) -> None:
    async def hold(caller: ScriptedCaller) -> None:
        await caller.speak(1.0)
        assert (await caller.until(TurnFailed)).stage == "speech_to_text"
        await caller.take_turn()

    assert call(Script(heard=[BROKEN, "hello"]), hold).all(ReplyDone)[0].status == "completed"


@pytest.mark.parametrize(
    ("models", "model", "call_name", "stage"),
    [
        ("language_models", Language.EN, "reply", "language_model"),
        ("text_to_speech", Language.EN, "speak", "text_to_speech"),
    ],
)
def test_a_failing_reply_says_so_and_ends(models: str, model: Language, call_name: str, stage: str) -> None:
    async def main() -> ScriptedCaller:
        engine = scripted_engine()
        setattr(getattr(engine._models, models)[model], call_name, failing)
        async with ScriptedCaller(engine) as caller:
            await caller.take_turn()
        return caller

    caller = run(main())
    assert caller.all(TurnFailed)[0].stage == stage
    assert [done.status for done in caller.all(ReplyDone)] == ["failed"]


@pytest.mark.parametrize("broken", ["fails", "hangs"])
@pytest.mark.parametrize(
    ("models", "call_name", "stage"),
    [("language_models", "reply", "language_model"), ("text_to_speech", "speak", "text_to_speech")],
)
def test_a_model_that_breaks_off_ends_the_reply_it_has_begun(
    models: str, call_name: str, stage: str, broken: str
) -> None:
    script = Script(reply=lambda messages: "One two three four. " * 5, thinking_s=0.1)

    async def main() -> ScriptedCaller:
        engine = scripted_engine(script)
        model = getattr(engine._models, models)[Language.EN]
        breaks = failing if broken == "fails" else lambda: script.pace.take(1000.0)
        setattr(model, call_name, breaking_off(getattr(model, call_name), 8, breaks))
        async with ScriptedCaller(engine) as caller:
            await caller.speak(1.0)
            await caller.until(ReplyDone, within_s=60)
        return caller

    caller = run(main())
    # What there is of a clause is said when the rest of it cannot be waited for any longer.
    heard = ["ReplyText", "ReplyAudio"] * (2 if (stage, broken) == ("language_model", "hangs") else 1)
    assert caller.kinds()[4:] == ["ReplyStarted", *heard, "TurnFailed", "ReplyDone"]
    assert caller.all(TurnFailed)[0].stage == stage
    assert [done.status for done in caller.all(ReplyDone)] == ["failed"]


@pytest.mark.parametrize("script", [Script(completeness=[BROKEN]), Script(asking_s=1000.0)])
def test_without_an_end_of_turn_model_the_words_decide(call: Any, script: Script) -> None:
    caller = call(script, ScriptedCaller.take_turn)
    assert caller.at_s(caller.all(TurnCommitted)[0]) == pytest.approx(1.5 + FAST_S, abs=0.04)
    assert caller.all(ReplyDone)[0].status == "completed"


def test_a_language_model_that_fails_on_a_sentence_answers_all_the_same(call: Any, caplog: Any) -> None:
    # Sure enough for two witnesses, of whom the voice counts for more, and not for three.
    caller = call(Script(ends=[0.96], completeness=[0.86], sentence=[BROKEN]), ScriptedCaller.take_turn)
    assert caller.at_s(caller.all(TurnCommitted)[0]) == pytest.approx(1.5 + FAST_S, abs=0.04)
    assert caller.all(ReplyDone)[0].status == "completed"
    assert [record.getMessage() for record in caplog.records] == [
        "turn 1: the language model failed on a sentence; the others decide without it"
    ]


@pytest.mark.parametrize(
    ("script", "stage"),
    [
        (Script(hearing_s=1000.0), "speech_to_text"),
        (Script(thinking_s=1000.0), "language_model"),
        (Script(speaking_s=1000.0), "text_to_speech"),
    ],
)
def test_a_model_that_hangs_fails_its_turn_when_the_limit_is_passed(call: Any, script: Script, stage: str) -> None:
    async def hold(caller: ScriptedCaller) -> None:
        await caller.speak(1.0)
        await caller.until(TurnFailed, within_s=60)

    caller = call(script, hold)
    (failure,) = caller.all(TurnFailed)
    assert failure.stage == stage
    assert caller.at_s(failure) == pytest.approx(1.0 + PROFILE.language_model.reply_limit_s, abs=1.4)


def test_a_reply_that_fails_on_a_guess_is_dropped_with_the_guess(call: Any) -> None:
    """Nothing but a cancellation comes out of it, which ends nothing else."""

    def fail_once(messages: Sequence[Message]) -> str:
        failures.append(messages)
        if len(failures) == 1:
            raise RuntimeError("the model broke")
        return "Fine."

    async def hold(caller: ScriptedCaller) -> None:
        await caller.speak(1.0)
        await caller.keep_silent(0.3)
        assert len(failures) == 1
        await caller.speak(1.0)
        await caller.until(ReplyDone)

    failures: list[Sequence[Message]] = []
    caller = call(Script(reply=fail_once), hold)
    assert [done.status for done in caller.all(ReplyDone)] == ["completed"]
    assert caller.all(TurnFailed) == []
