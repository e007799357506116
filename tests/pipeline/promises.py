"""What a conversation promises whatever happens, held against all that somebody heard of one."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from operator import itemgetter
from typing import TypeVar

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
from pipeline.languages import TRAITS
from pipeline.lm.base import Message
from pipeline.profiles import load_profile

BUDGET_TOKENS = load_profile("embedded").language_model.history_tokens
"""A token of the scripted language model is a word."""

T = TypeVar("T")


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
    in which they were committed, each with its reply behind it. Only of more than a prompt may hold the oldest is
    missing."""
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
        told = [message for message in expected if message[1]]
        forgotten = len(told) - len(prompt[1:])
        assert prompt[1:] == told[forgotten:]
        words = sum(len(text.split()) for text in (prompt[0][1], *(said.text for said in before)))
        assert forgotten == 0 or words > BUDGET_TOKENS


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
