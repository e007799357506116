"""Whatever a caller does, and whenever: what a conversation promises, over random callers and random models.

A caller takes one step after the other, as a client of the server does, while the events are fetched beside it. Times
are multiples of one frame, so that things often happen at the same moment; `after` tells which of them is first.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import pairwise
from operator import itemgetter
from typing import Any, Literal, TypeAlias, TypeVar

from hypothesis import given, settings
from hypothesis import strategies as st

from harness.virtual_time import run
from pipeline.engine import Engine
from pipeline.errors import ConversationError
from pipeline.events import (
    Event,
    ReplyAudio,
    ReplyDone,
    ReplyStarted,
    ReplyText,
    SpeechStarted,
    SpeechStopped,
    Transcribed,
    TurnCommitted,
    TurnEmpty,
    TurnFailed,
)
from pipeline.languages import TRAITS, Language
from pipeline.lm.base import Message
from pipeline.settings import ConversationSettings
from pipeline.testing import Script, ScriptedCaller, scripted_engine

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
    """None is a failure; `replies` are numbers of words."""

    heard: list[str | None]
    languages: list[Language]
    ends: list[float]
    completeness: list[float | None]
    replies: list[int]
    hearing_s: float
    asking_s: float
    thinking_s: float
    speaking_s: float
    thinking: Fault | None
    speaking: Fault | None


@dataclass
class Call:
    """What came of it. `prompts` has the messages of each reply, known by the first word of its text.

    `settled` is how many events had been heard when all was over; one who stays takes another turn after that.
    `cancelled` has the replies that were cancelled, and how many events had been heard when that was done.
    """

    heard: list[Event] = field(default_factory=list)
    settled: int = 0
    prompts: dict[str, list[Message]] = field(default_factory=dict)
    cancelled: list[tuple[int, int]] = field(default_factory=list)

    def all(self, kind: type[T]) -> list[T]:
        return [event for event in self.heard if isinstance(event, kind)]


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
    replies=st.lists(st.sampled_from([0, 3, 20, 60]), min_size=1, max_size=4),
    hearing_s=st.sampled_from([0.0, 0.02, 0.06, 0.1, 0.4, 0.4, 1.4, HANGS_S]),
    asking_s=st.sampled_from([0.0, 0.06, 0.4, HANGS_S]),
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
        reply=reply,
        language=models.languages,
        hearing_s=models.hearing_s,
        asking_s=models.asking_s,
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


def check_turns(call: Call) -> None:
    """Each is begun, ended, committed and understood in this order, and after the one before it."""
    turns_of: dict[str, list[int]] = {}
    stages_of: dict[int, list[str]] = {}
    for event in call.heard:
        match event:
            case SpeechStarted(turn) | SpeechStopped(turn) | TurnCommitted(turn):
                stage = type(event).__name__
            case Transcribed(turn) | TurnEmpty(turn) | TurnFailed(int(turn), "speech_to_text"):
                stage = "understood"
            case _:
                continue
        turns_of.setdefault(stage, []).append(turn)
        stages_of.setdefault(turn, []).append(stage)
    for turns in turns_of.values():
        assert all(before < after for before, after in pairwise(turns))
    detected, pushed = ["SpeechStarted", "SpeechStopped"], ["TurnCommitted", "understood"]
    for stages in stages_of.values():
        # Audio that is cleared is only told to begin; whoever hangs up does not learn how it was understood.
        assert stages in ([*detected, *pushed], pushed, detected[:1], [*detected, *pushed[:1]], pushed[:1])


def check_replies(call: Call) -> None:
    """One at a time, from its start to its one end, each clause before its audio, and no more of it than is told."""
    active: int | None = None
    texts: list[str] = []
    for event in call.heard:
        match event:
            case ReplyStarted():
                assert active is None
                active, texts = event.reply, []
            case ReplyText():
                assert event.reply == active
                texts.append(event.text)
            case ReplyAudio():
                assert event.reply == active
                assert texts
            case ReplyDone():
                assert event.reply == active
                assert event.text == "".join(texts)
                assert event.text.startswith(event.heard)
                if not TRAITS[event.language].joins_words:
                    assert event.heard.split() == event.text.split()[: len(event.heard.split())]
                active = None
    numbers = [started.reply for started in call.all(ReplyStarted)]
    assert all(before < after for before, after in pairwise(numbers))


def check_answered(call: Call) -> None:
    """Whatever was understood is answered by a reply, which ends unheard only if the client wants that."""
    settled = call.heard[: call.settled]
    understood = [index for index, event in enumerate(settled) if isinstance(event, Transcribed)]
    if understood:
        ends = [event for event in settled[understood[-1] :] if isinstance(event, ReplyDone)]
        assert ends
        assert call.cancelled or ends[-1].status != "cancelled" or ends[-1].heard


def check_interruptions(call: Call) -> None:
    """Where a caller may interrupt, the reply has ended when he is told that he speaks."""
    active = False
    for event in call.heard:
        active = isinstance(event, ReplyStarted) or (active and not isinstance(event, ReplyDone))
        assert not (active and isinstance(event, SpeechStarted))


def check_cancelled(call: Call) -> None:
    """Nothing of a cancelled reply comes any more but its end."""
    ended = {event.reply: event.status for event in call.all(ReplyDone)}
    for reply, heard in call.cancelled:
        said = [event.reply for event in call.heard[heard:] if isinstance(event, ReplyText | ReplyAudio)]
        # One that had come to its end by itself may still be fetched.
        assert ended.get(reply) != "cancelled" or reply not in said


def check_history(call: Call) -> None:
    """Each reply was asked for with all that was said before it and, of the replies, what was heard: turns in the order
    in which they were committed, each with its reply behind it."""
    places = {committed.turn: committed.message for committed in call.all(TurnCommitted)}
    starts = {started.reply: started for started in call.all(ReplyStarted)}
    begun = {started.reply: index for index, started in enumerate(call.heard) if isinstance(started, ReplyStarted)}
    said_at: list[tuple[tuple[int, int], int, Transcribed | ReplyDone]] = [
        ((places[event.turn], 0), index, event)
        for index, event in enumerate(call.heard)
        if isinstance(event, Transcribed)
    ]
    for done in call.all(ReplyDone):
        number = starts[done.reply].message
        place = (number, 0) if done.turn is None else (places[done.turn], number)
        said_at.append((place, begun[done.reply], done))
    for done in call.all(ReplyDone):
        if not done.text:
            continue  # of its prompt nothing is known
        prompt = [(message.role, message.text) for message in call.prompts[done.text.split()[0]]]
        before = [said for _, index, said in sorted(said_at, key=itemgetter(0)) if index < begun[done.reply]]
        expected = [
            ("user", said.text) if isinstance(said, Transcribed) else ("assistant", kept_of(said, prompt, call))
            for said in before
        ]
        assert prompt[1:] == [message for message in expected if message[1]]


def kept_of(done: ReplyDone, prompt: list[tuple[str, str]], call: Call) -> str:
    """What is to be found of a reply in a later prompt."""
    text, heard = done.text.strip(), done.heard.strip()
    if done.status == "cancelled":
        return heard
    if any(isinstance(event, SpeechStarted) for event in call.heard[call.heard.index(done) :]):
        # It may have been interrupted when all of it had been sent, and not all been heard.
        return next((said for role, said in prompt if role == "assistant" and is_begin(said, text)), "")
    return text


def is_begin(part: str, whole: str) -> bool:
    return whole.startswith(part) and part.split()[:1] == whole.split()[:1]


@settings(max_examples=250)
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
