"""Whatever a caller does, and whenever: what a conversation promises, over random callers and random models.

A caller takes one step after the other, as a client of the server does, while the events are fetched beside it. Times
are multiples of one frame, so that things often happen at the same moment; `after` tells which of them is first.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias, TypeVar

from hypothesis import example, given, settings
from hypothesis import strategies as st

from harness.virtual_time import run
from pipeline.engine import Engine
from pipeline.errors import ConversationError
from pipeline.events import (
    ReplyDone,
    ReplyStarted,
    Transcribed,
    TurnCommitted,
    TurnEmpty,
    TurnFailed,
)
from pipeline.languages import Language
from pipeline.lm.base import Message
from pipeline.settings import ConversationSettings
from pipeline.testing import Script, ScriptedCaller, scripted_engine
from tests.pipeline.promises import (
    Call,
    check_answered,
    check_cancelled,
    check_history,
    check_interruptions,
    check_replies,
    check_turns,
)

T = TypeVar("T")

HANGS_S = 1000.0
SETTLES_S = 300.0
"""Longer than every model hanging in turn, and the longest replies being played."""


@dataclass(frozen=True)
class Speak:
    seconds: float


@dataclass(frozen=True)
class StopFetching:
    """The events of the next seconds are fetched only after them."""

    seconds: float


@dataclass(frozen=True)
class Ask:
    """`after` is how often everybody else has his turn first."""

    what: Literal["commit", "clear", "respond", "cancel_reply"]
    after: int


@dataclass(frozen=True)
class Change:
    changes: dict[str, Any]


Step: TypeAlias = tuple[Speak | StopFetching | Ask | Change, float]
"""And how long the caller keeps silent after it."""


@dataclass(frozen=True)
class Fault:
    """Of the model's pieces, counted over all its calls, the one with this number never comes."""

    piece: int
    how: Literal["fails", "hangs"]


@dataclass(frozen=True)
class Models:
    """None is a failure, but of all `sentences` that nobody can tell; `replies` are numbers of words."""

    heard: list[str | None]
    languages: list[Language]
    ends: list[float]
    completeness: list[float | None]
    sentences: list[float | None] | None
    replies: list[int]
    hearing_s: float
    asking_s: float
    reading_s: float
    thinking_s: float
    speaking_s: float
    thinking: Fault | None
    speaking: Fault | None


SPOKEN_S = st.sampled_from([0.1, 0.2, 0.4, 0.8, 1.2])
SILENT_S = st.sampled_from([0.0, 0.0, 0.02, 0.1, 0.3, 0.6, 1.5, 1.5])
CHANGES: list[dict[str, Any]] = [
    {"detect_turns": False},
    {"detect_turns": True},
    {"interrupt": False},
    {"interrupt": True},
    {"reply_to_turns": False},
    {"speak": False},
    {"speak": True},
    {"languages": (Language.JA,)},
    {"silence_limit_s": 0.2},
    {"patience": 0.5},
    {"idle_timeout_s": 1.0},
]
ACTIONS = st.one_of(
    st.builds(Speak, SPOKEN_S),
    st.builds(Speak, SPOKEN_S),
    st.builds(StopFetching, SILENT_S),
    st.builds(Ask, st.sampled_from(["commit", "clear", "respond", "cancel_reply"]), st.integers(0, 12)),
    st.builds(Change, st.sampled_from(CHANGES)),
)
STEPS = st.lists(st.tuples(ACTIONS, SILENT_S), min_size=4, max_size=12)
FAULTS = st.one_of(
    st.none(), st.none(), st.none(), st.builds(Fault, st.integers(0, 40), st.sampled_from(["fails", "hangs"]))
)
MODELS = st.builds(
    Models,
    heard=st.lists(st.sampled_from(["hello", "and then", "wait", "mhm", "", None]), min_size=1, max_size=6),
    languages=st.lists(st.sampled_from([Language.EN, Language.FR, Language.JA]), min_size=1, max_size=4),
    ends=st.lists(st.sampled_from([0.0, 0.5, 0.97, 1.0]), min_size=1, max_size=6),
    completeness=st.lists(st.sampled_from([0.0, 0.4, 1.0, None]), min_size=1, max_size=4),
    sentences=st.none() | st.lists(st.sampled_from([0.0, 0.4, 1.0, None]), min_size=1, max_size=4),
    replies=st.lists(st.sampled_from([0, 3, 20, 60]), min_size=1, max_size=4),
    hearing_s=st.sampled_from([0.0, 0.02, 0.06, 0.1, 0.4, 0.4, 1.4, HANGS_S]),
    asking_s=st.sampled_from([0.0, 0.06, 0.4, HANGS_S]),
    reading_s=st.sampled_from([0.0, 0.06, 0.4, HANGS_S]),
    thinking_s=st.sampled_from([0.0, 0.02, 0.1, 0.5]),
    speaking_s=st.sampled_from([0.0, 0.02, 0.1, 0.5]),
    thinking=FAULTS,
    speaking=FAULTS,
)


def failure() -> Exception:
    return RuntimeError("the model broke")


def faulty(produce: Callable[..., Iterator[T]], fault: Fault | None, script: Script) -> Callable[..., Iterator[T]]:
    made = 0

    def pieces(*args: Any, **kwargs: Any) -> Iterator[T]:
        nonlocal made
        for piece in produce(*args, **kwargs):
            if fault is not None and made == fault.piece:
                if fault.how == "fails":
                    made += 1
                    raise failure()
                script.pace.take(HANGS_S)
            made += 1
            yield piece

    return pieces


def scripted(models: Models, prompts: dict[str, list[Message]]) -> Engine:
    def reply(messages: Sequence[Message]) -> str:
        number = len(prompts)
        prompts[f"R{number}"] = list(messages)
        words = models.replies[min(number, len(models.replies) - 1)]
        return " ".join([f"R{number}", *("so," if word % 5 == 4 else "on" for word in range(words))])

    script = Script(
        heard=[failure() if text is None else text for text in models.heard],
        partly="well",
        ends=models.ends,
        completeness=[failure() if answer is None else answer for answer in models.completeness],
        sentence=models.sentences and [failure() if answer is None else answer for answer in models.sentences],
        reply=reply,
        language=models.languages,
        hearing_s=models.hearing_s,
        asking_s=models.asking_s,
        reading_s=models.reading_s,
        thinking_s=models.thinking_s,
        speaking_s=models.speaking_s,
    )
    engine = scripted_engine(script)
    language_model: Any = engine._models.language_models[Language.EN]
    synthesiser: Any = engine._models.text_to_speech[Language.EN]
    language_model.reply = faulty(language_model.reply, models.thinking, script)
    synthesiser.speak = faulty(synthesiser.speak, models.speaking, script)
    return engine


async def take(step: Step, caller: ScriptedCaller, call: Call) -> None:
    action, then_silent_s = step
    match action:
        case Speak(seconds):
            await caller.speak(seconds)
        case StopFetching(seconds):
            caller.listen(False)
            asyncio.get_running_loop().call_later(seconds, caller.listen, True)
        case Ask(what, after):
            for _ in range(after):
                await asyncio.sleep(0)
            under_way = caller.conversation._replying._reply if caller.conversation.reply_active else None
            with suppress(ConversationError):
                await getattr(caller.conversation, what)()
            if what == "cancel_reply" and under_way is not None:
                call.cancelled.append((under_way.request.number, len(caller.heard)))
        case Change(changes):
            caller.conversation.settings = replace(caller.conversation.settings, **changes)
    await caller.keep_silent(then_silent_s)


def hold(steps: list[Step], models: Models, *, stays: bool) -> Call:
    """One who does not stay hangs up after the last step."""

    async def main() -> Call:
        call = Call()
        engine = scripted(models, call.prompts)
        before = asyncio.all_tasks()
        async with ScriptedCaller(engine) as caller:
            for step in steps:
                await take(step, caller, call)
            if stays:
                await caller.keep_silent(2.0)
                await asyncio.sleep(SETTLES_S)
                assert not caller.conversation.reply_active
                call.settled = len(caller.heard)
                await check_goes_on(caller)
            left_at_s = asyncio.get_running_loop().time()
        assert asyncio.get_running_loop().time() == left_at_s
        for _ in range(10):
            await asyncio.sleep(0)
        assert asyncio.all_tasks() == before
        call.heard = [event for _, event in caller.heard]
        return call

    return run(main())


async def check_goes_on(caller: ScriptedCaller) -> None:
    """Whatever has happened: the next turn is one as any other."""
    caller.conversation.settings = ConversationSettings()
    committed = len(caller.all(TurnCommitted))
    await caller.speak(1.0)
    await caller.keep_silent(2.0)
    await asyncio.sleep(SETTLES_S)
    turn = caller.all(TurnCommitted)[committed].turn
    understood = any(heard.turn == turn for heard in caller.all(Transcribed))
    assert not understood or any(started.turn == turn for started in caller.all(ReplyStarted))


LONG_TALK = Models(
    heard=["hello"],
    languages=[Language.EN],
    ends=[1.0],
    completeness=[0.0],
    sentences=None,
    replies=[60],
    hearing_s=0.0,
    asking_s=0.0,
    reading_s=0.0,
    thinking_s=0.0,
    speaking_s=0.0,
    thinking=None,
    speaking=None,
)
"""Unasked, it fills the whole prompt with replies, so that the oldest is forgotten."""


@settings(max_examples=250)
@example(
    [
        (Speak(0.1), 0.0),
        (Speak(0.1), 0.3),
        (Change({"speak": False}), 0.0),
        (Change({"idle_timeout_s": 1.0}), 0.0),
    ],
    LONG_TALK,
    True,
)
@given(STEPS, MODELS, st.booleans())
def test_whatever_happens_the_promises_are_kept(steps: list[Step], models: Models, stays: bool) -> None:
    call = hold(steps, models, stays=stays)
    changes = [action.changes for action, _ in steps if isinstance(action, Change)]
    check_turns(call)
    check_replies(call)
    check_cancelled(call)
    check_history(call)
    if {"interrupt": False} not in changes:
        check_interruptions(call)
    if stays and {"reply_to_turns": False} not in changes and {"detect_turns": False} not in changes:
        check_answered(call)
    if stays:
        ended = len(call.all(Transcribed)) + len(call.all(TurnEmpty))
        ended += sum(failed.stage == "speech_to_text" for failed in call.all(TurnFailed))
        assert ended == len(call.all(TurnCommitted))
        assert len(call.all(ReplyDone)) == len(call.all(ReplyStarted))
