"""What the self-test plays of conversations: each way of misbehaving in one, and the same conversation behaved in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from harness.fixtures import Fixture
from harness.fixtures.scenarios import Cue, Expectation, Line, Scenario
from harness.measures.behaviour import Measure
from harness.reference.behaviour import Manners, Reaction
from harness.reference.voice import TONE_S, WORD_S
from harness.scenarios.casting import Cast

PAUSE_S = 0.6

LONG = " ".join(["what is the", *["alpha bravo charlie delta"] * 6])
"""A reply of three seconds, in English as far as its words go."""
SHORT = "what is the alpha"
FRENCH = "quelle heure est il alpha"


@dataclass(frozen=True, slots=True)
class Case:
    """A scenario in tones, and a way to misbehave in it.

    Attributes:
        name: of the fault, in words.
        lines: of the scenario; their clip is put in by `cast_of`.
        good: manners of which nothing may be said.
        bad: manners that must be found out.
        sign: the one measure that finds them.
        over_a_reply: a protocol without full duplex cannot play it.
    """

    name: str
    lines: tuple[Line, ...]
    good: Manners
    bad: Manners
    sign: Measure

    @property
    def over_a_reply(self) -> bool:
        return any(line.cue.kind == "into-reply" for line in self.lines)


def _line(*expect: Expectation, cue: Cue | None = None, clip: bool = True, pause_s: float = 0.0) -> Line:
    return Line(
        clip="question" if clip else None,
        seconds=None if clip else 0.4,
        noise_dbfs=None if clip else -30.0,
        cue=cue or Cue("after", 0.0),
        pause_s=pause_s,
        gain_db=0.0,
        overdrive_db=None,
        telephone=False,
        expect=expect,
    )


_QUESTION = _line("answered")
_OVER = Cue("into-reply", 0.5)
_INTERRUPTED = (_QUESTION, _line("stops-reply", cue=_OVER))
_ACCOMPANIED = (_QUESTION, _line("reply-goes-on", "not-answered", cue=_OVER))
_ANSWER, _LONG_ANSWER, _NOTHING = Reaction(SHORT), Reaction(LONG), Reaction()

MANNERS: tuple[Case, ...] = (
    Case(
        "an answer to noise",
        (_line("not-answered", clip=False),),
        good=Manners(reactions=(_NOTHING,)),
        bad=Manners(reactions=(_ANSWER,)),
        sign="false_answers",
    ),
    Case(
        "a question without an answer",
        (_QUESTION,),
        good=Manners(reactions=(_ANSWER,)),
        bad=Manners(reactions=(_NOTHING,)),
        sign="unanswered",
    ),
    Case(
        "two answers to one question",
        (_QUESTION,),
        good=Manners(reactions=(_ANSWER,)),
        bad=Manners(reactions=(Reaction(SHORT, times=2),)),
        sign="surplus",
    ),
    Case(
        "cutting in at a pause",
        (_line("answered", pause_s=PAUSE_S),),
        good=Manners(patience_s=PAUSE_S + 0.2, reactions=(_ANSWER,)),
        bad=Manners(patience_s=PAUSE_S / 2, reactions=(_ANSWER, _ANSWER)),
        sign="premature",
    ),
    Case(
        "talking on over the caller",
        _INTERRUPTED,
        good=Manners(reactions=(_LONG_ANSWER, Reaction(stops_after_s=0.15))),
        bad=Manners(reactions=(_LONG_ANSWER, _NOTHING)),
        sign="missed_interruptions",
    ),
    Case(
        "stopping late for the caller",
        _INTERRUPTED,
        good=Manners(reactions=(_LONG_ANSWER, Reaction(stops_after_s=0.2))),
        bad=Manners(reactions=(_LONG_ANSWER, Reaction(stops_after_s=0.4))),
        sign="late_stops",
    ),
    Case(
        "stopping for a backchannel",
        _ACCOMPANIED,
        good=Manners(reactions=(_LONG_ANSWER, _NOTHING)),
        bad=Manners(reactions=(_LONG_ANSWER, Reaction(stops_after_s=0.15))),
        sign="false_interruptions",
    ),
    Case(
        "an answer in another language",
        (_line("answered", "own-language"),),
        good=Manners(reactions=(_ANSWER,)),
        bad=Manners(reactions=(Reaction(FRENCH),)),
        sign="wrong_language",
    ),
)


def cast_of(case: Case, questions: Sequence[Fixture]) -> Cast:
    """The case's scenario, said by the self-test's first question, which has a word gap in its middle."""
    question = questions[0]
    assert question.speech_start is not None  # noqa: S101 - the questions are speech
    words = len(question.transcript.split())
    gap_s = WORD_S * (words // 2) - (WORD_S - TONE_S) / 2
    gap = question.speech_start + round(gap_s * question.rate_hz)
    lines = tuple(replace(line, clip=question.id) if line.clip else line for line in case.lines)
    about = f"The fault to be found: {case.name}."
    scenario = Scenario(case.name, about, "en" if case.lines[0].clip else "none", lines, None)
    return Cast(scenario, {question.id: replace(question, word_gaps=(gap,))})
