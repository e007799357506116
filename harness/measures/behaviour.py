"""Whether a server took its turns as it should: each expectation of a scenario, with the evidence.

All from the annotated marks of the lines as they were played, and from when audio and events arrived. Nothing here
listens: a reply counts from its first byte.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from harness.measures import latency
from harness.measures.text_language import language_of
from harness.scenarios.loudspeaker import Loudspeaker
from harness.scenarios.performance import PerformanceEvidence, Said

VERSION = 1

STOP_S = 0.25
"""A reply that is spoken over has stopped so soon after the first word."""

Measure = Literal[
    "premature", "unanswered", "surplus", "false_answers", "missed_interruptions", "late_stops",
    "false_interruptions", "wrong_language",
]  # fmt: skip  # a table, which is not seen with each entry in a line
"""What can go wrong, each counted by itself.

premature: the reply began before the end of speech.
unanswered: there was no reply.
surplus: there was more than one.
false_answers: a reply began to what asks for none: noise, silence, a backchannel.
missed_interruptions: the reply went on although the caller spoke over it.
late_stops: it stopped, but later than `STOP_S` after the first word.
false_interruptions: the reply was broken off although nobody interrupted it.
wrong_language: the reply was in another language.
"""

Outcome = Literal["held", "broken", "undecided", "invalid", "error"]
"""How a scenario came out. invalid: the harness's own sender was late. error: the server broke off, or its protocol."""


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that could have gone wrong.

    Attributes:
        measure: under which it is counted.
        line: of the scenario, from 1.
        verdict: `undecided` where what would have shown it did not happen; counted neither way.
        told: what happened, in words.
        at_ms: when, milliseconds since the stream's start on the input's sample clock; None for what did not happen.
    """

    measure: Measure
    line: int
    verdict: Literal["held", "broken", "undecided"]
    told: str
    at_ms: int | None = None


@dataclass(frozen=True, slots=True)
class _Reply:
    """A reply as the caller heard it, seconds since the stream's start.

    `until_s` is when their loudspeaker would have played the last of what arrived of it, had nothing stopped it, and
    `sent_until_s` when that arrived.
    """

    begun_s: float
    sent_until_s: float
    until_s: float
    text: str
    ended_s: float
    cancelled: bool


def outcome(checks: Sequence[Check], evidence: PerformanceEvidence, error: str | None) -> Outcome:
    """How a scenario came out as a whole; the gravest comes first."""
    if latency.is_late(evidence.lateness_s):
        return "invalid"
    if error is not None:
        return "error"
    found = {check.verdict for check in checks}
    return "broken" if "broken" in found else "undecided" if "undecided" in found or not found else "held"


def measure(said: Sequence[Said], evidence: PerformanceEvidence, error: str | None = None) -> tuple[Check, ...]:
    """Every expectation of every line. After an error only what was seen to go wrong, or to be missing, counts."""
    return tuple(_checks(said, evidence, error))


def _checks(said: Sequence[Said], evidence: PerformanceEvidence, error: str | None) -> Iterator[Check]:
    replies = _replies(evidence)
    for number, line in enumerate(said, 1):
        if line.begun_s is None:
            reason = error or evidence.unsaid or "it was not said"
            yield from (Check(measure, number, "undecided", reason) for measure in _measures(line))
            continue
        following = said[number] if number < len(said) and said[number].begun_s is not None else None
        span = _Span.of(line, following)
        for check in _line(number, line, span, replies, evidence):
            if error is not None and following is None and check.verdict == "held":
                yield Check(check.measure, number, "undecided", error)
            else:
                yield check


@dataclass(frozen=True, slots=True)
class _Span:
    """The part of a conversation that belongs to a line."""

    begun_s: float
    start_s: float
    end_s: float
    next_begun_s: float
    next_start_s: float

    @classmethod
    def of(cls, line: Said, following: Said | None) -> _Span:
        return cls(
            _or_never(line.begun_s),
            _or_never(line.speech_start_s),
            _or_never(line.speech_end_s),
            _or_never(following.begun_s if following else None),
            _or_never(following.speech_start_s if following else None),
        )


def _measures(line: Said) -> list[Measure]:
    """What can be said of a line, whatever happens."""
    of: dict[str, tuple[Measure, ...]] = {
        "answered": ("premature", "unanswered"),
        "own-language": ("wrong_language",),
        "not-answered": ("false_answers",),
        "stops-reply": ("missed_interruptions",),
        "reply-goes-on": ("false_interruptions",),
    }
    return [measure for expected in line.expect for measure in of[expected]]


def _line(
    number: int, line: Said, span: _Span, replies: Sequence[_Reply], evidence: PerformanceEvidence
) -> Iterator[Check]:
    early = [reply for reply in replies if span.start_s <= reply.begun_s < span.end_s]
    answers = [reply for reply in replies if span.end_s <= reply.begun_s < span.next_start_s]
    for expected in line.expect:
        match expected:
            case "answered":
                yield from _answered(number, span, early, answers)
            case "own-language":
                yield _own_language(number, line, answers)
            case "not-answered":
                yield _not_answered(number, span, [*early, *answers])
            case "stops-reply":
                yield from _stops(number, span, replies, evidence)
            case "reply-goes-on":
                yield _goes_on(number, span, replies, evidence)


def _answered(number: int, span: _Span, early: Sequence[_Reply], answers: Sequence[_Reply]) -> Iterator[Check]:
    if early:
        before_s = span.end_s - early[0].begun_s
        told = f"a reply began {before_s:.2f} s before the end of speech"
        yield Check("premature", number, "broken", told, _ms(early[0].begun_s))
    else:
        yield Check("premature", number, "held", "no reply began before the end of speech", _ms(span.end_s))
    if answers:
        told = f"answered {answers[0].begun_s - span.end_s:.2f} s after the end of speech"
        yield Check("unanswered", number, "held", told, _ms(answers[0].begun_s))
        if len(answers) > 1:
            told = f"{len(answers)} replies"
            yield Check("surplus", number, "broken", told, _ms(answers[1].begun_s))
        else:
            yield Check("surplus", number, "held", "one reply")
    elif early:
        yield Check("unanswered", number, "undecided", "the reply that cut in was the only one")
    else:
        yield Check("unanswered", number, "broken", "no reply")


def _own_language(number: int, line: Said, answers: Sequence[_Reply]) -> Check:
    text = answers[0].text.strip() if answers else ""
    spoken = language_of(text)
    if not answers:
        return Check("wrong_language", number, "undecided", "no reply")
    if not text:
        return Check("wrong_language", number, "undecided", "the server tells no text of its reply")
    if spoken is None:
        return Check("wrong_language", number, "undecided", f"the text does not show its language: {text:.80}")
    verdict: Literal["held", "broken"] = "held" if spoken == line.language else "broken"
    told = f"answered in {spoken}: {text:.80}"
    return Check("wrong_language", number, verdict, told, _ms(answers[0].begun_s))


def _not_answered(number: int, span: _Span, begun: Sequence[_Reply]) -> Check:
    if not begun:
        return Check("false_answers", number, "held", "no reply began")
    after_s = begun[0].begun_s - span.start_s
    text = f": {begun[0].text.strip():.80}" if begun[0].text.strip() else ""
    told = f"a reply began {after_s:.2f} s after the sound did{text}"
    return Check("false_answers", number, "broken", told, _ms(begun[0].begun_s))


def _stops(number: int, span: _Span, replies: Sequence[_Reply], evidence: PerformanceEvidence) -> Iterator[Check]:
    reply = _spoken_over(span, replies, evidence)
    stopped_s = _stopped(span, reply, evidence) if reply else None
    if reply is None or (stopped_s is None and reply.until_s < span.start_s + STOP_S):
        yield Check("missed_interruptions", number, "undecided", "the reply was over before it could be stopped")
        return
    if stopped_s is None:
        told = f"the reply went on for {reply.until_s - span.start_s:.2f} s, to its end"
        yield Check("missed_interruptions", number, "broken", told, _ms(span.start_s))
        return
    after_s = max(0.0, stopped_s - span.start_s)
    sent_s = max(0.0, reply.sent_until_s - span.start_s)
    told = f"the reply stopped {after_s:.2f} s after the first word began; its last audio had come after {sent_s:.2f} s"
    yield Check("missed_interruptions", number, "held", told, _ms(stopped_s))
    late = after_s > STOP_S
    yield Check("late_stops", number, "broken" if late else "held", told, _ms(stopped_s))


def _goes_on(number: int, span: _Span, replies: Sequence[_Reply], evidence: PerformanceEvidence) -> Check:
    reply = _spoken_over(span, replies, evidence)
    if reply is None:
        return Check("false_interruptions", number, "undecided", "the reply was over before")
    stopped_s = _stopped(span, reply, evidence)
    if stopped_s is not None:
        told = f"the reply stopped {max(0.0, stopped_s - span.start_s):.2f} s after the sound began"
        return Check("false_interruptions", number, "broken", told, _ms(stopped_s))
    told = f"the reply went on for {reply.until_s - span.start_s:.2f} s, to its end"
    return Check("false_interruptions", number, "held", told, _ms(reply.until_s))


def _spoken_over(span: _Span, replies: Sequence[_Reply], evidence: PerformanceEvidence) -> _Reply | None:
    """The reply that was being heard when somebody, or something, was heard over it, unless it was stopped before."""
    heard = [reply for reply in replies if reply.begun_s < span.begun_s and reply.until_s > span.start_s]
    if not heard or (heard[-1].cancelled and heard[-1].ended_s < span.begun_s):
        return None
    stopped = any(heard[-1].begun_s < at_s < span.begun_s for at_s in evidence.speech_started_s)
    return None if stopped else heard[-1]


def _stopped(span: _Span, reply: _Reply, evidence: PerformanceEvidence) -> float | None:
    """When the reply fell silent before its time; None if it did not.

    That is when the server tells that it hears the caller speak, upon which a client stops its loudspeaker, or that it
    has broken the reply off, whichever comes first, from the line's begin to the next one's. One whose audio stops
    before either is told was silent from then on.
    """
    told = [at_s for at_s in evidence.speech_started_s if span.begun_s <= at_s < span.next_begun_s]
    if reply.cancelled and span.begun_s <= reply.ended_s < span.next_begun_s:
        told.append(reply.ended_s)
    if not told:
        return None
    # Of a reply that was broken off, what had arrived may have been played to its end before anything was told.
    return min(*told, reply.until_s) if reply.cancelled or min(told) < reply.until_s else None


def _replies(evidence: PerformanceEvidence) -> list[_Reply]:
    """Those that brought audio, in their order."""
    told = {reply.number: reply for reply in evidence.replies}
    bytes_a_second = 2 * evidence.channels * evidence.rate_hz
    begun: dict[int, float] = {}
    sent: dict[int, float] = {}
    played: dict[int, Loudspeaker] = {}
    for chunk in evidence.chunks:
        if chunk.bytes:
            begun.setdefault(chunk.reply, chunk.at_s)
            sent[chunk.reply] = chunk.at_s
            played.setdefault(chunk.reply, Loudspeaker()).take(chunk.at_s, chunk.bytes / bytes_a_second)
    return [
        _Reply(
            begun_s,
            sent[number],
            played[number].silent_from_s,
            told[number].text if number in told else "",
            _or_never(told[number].ended_s) if number in told else math.inf,
            number in told and told[number].cancelled,
        )
        for number, begun_s in begun.items()
    ]


def _or_never(at_s: float | None) -> float:
    return math.inf if at_s is None else at_s


def _ms(at_s: float) -> int:
    return round(1_000 * at_s)
