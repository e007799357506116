"""What the self-test plays, as data: good replies, each fault, and runs that each gate must refuse."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from harness.fixtures import Fixture
from harness.measures.words import Words
from harness.recording import Outcome
from harness.reference.behaviour import STAGES, Behaviour, Defect
from harness.results import TurnRow
from harness.targets import TargetName

CLEAN: dict[TargetName, int] = {"realtime": 20, "endpoint": 10}
"""So many good replies; no finding may be reported on any."""
STALLED: dict[TargetName, int] = {"realtime": 7, "endpoint": 7}
"""So many besides whose delivery stands still once, for the underruns."""

_LONGEST_STAGE_S = 0.08
_JITTER_S = 0.01
_STALL_CHUNK = 6
_STALLS_S = (0.11, 0.132, 0.17, 0.21, 0.25, 0.30, 0.08)
"""Chosen so that at each prebuffer an underrun is clearly there or clearly not; the shortest one is heard nowhere."""

GATES = """
[profiles.reference.en]
ttfa_s = { p50 = 0.7 }
first_byte_s = { p50 = 0.6 }
heard = 0.10
spoken = 0.10
echoed = 0.10
clipping = 0

[profiles.reference.all]
cut_ins = 0.15
no_answers = 0.15
"""
"""Limits that the good replies keep."""


def answer_to(question: Fixture, **changes: Any) -> Behaviour:
    """A good reply, which says back what it was asked, but for `changes`."""
    assert question.speech_end is not None  # noqa: S101 - the questions are speech
    text = question.transcript
    return replace(Behaviour(question.speech_end / question.rate_hz, heard=text, spoken=text), **changes)


def drawn(question: Fixture, seed: int, **changes: Any) -> Behaviour:
    """A good reply with delays, jitter and lead-in of its own; every third one leaves a stage out of its trace."""
    draws = random.Random(seed)  # noqa: S311 - not for secrets
    stages_s = tuple(round(draws.uniform(0, _LONGEST_STAGE_S), 4) for _ in STAGES)
    lead_in_s = round(draws.uniform(0, 0.12), 4)
    untold = (draws.choice(STAGES),) if seed % 3 == 2 else ()
    return answer_to(
        question, stages_s=stages_s, jitter_s=_JITTER_S, seed=seed, lead_in_s=lead_in_s, untold=untold, **changes
    )


def stalled(question: Fixture, seed: int) -> Behaviour:
    """A good reply whose delivery stands still once."""
    stall_s = _STALLS_S[seed % len(_STALLS_S)]
    return drawn(question, seed, stall_chunk=_STALL_CHUNK, stall_s=stall_s)


@dataclass(frozen=True, slots=True)
class Shows:
    """A finding of clipping safety: which, and where in the reply. `also` are those that cannot but come with it."""

    check: str
    at_s: float | None = None
    also: tuple[str, ...] = ()

    def is_seen(self, row: TurnRow) -> bool:
        findings = row.clipping.findings if row.clipping else ()
        named = {finding.check for finding in findings}
        places = [finding.at_ms for finding in findings if finding.check == self.check]
        in_place = self.at_s is None or any(abs(place - 1000 * self.at_s) <= 1 for place in places)
        return self.check in named and in_place and named <= {self.check, *self.also}

    def __str__(self) -> str:
        return self.check if self.at_s is None else f"{self.check} at {1000 * self.at_s:.0f} ms"


@dataclass(frozen=True, slots=True)
class ComesOut:
    """An outcome, and what the error says."""

    outcome: Outcome
    saying: str = ""

    def is_seen(self, row: TurnRow) -> bool:
        return row.outcome == self.outcome and self.saying in (row.error or "")

    def __str__(self) -> str:
        return f"{self.outcome}: {self.saying}" if self.saying else self.outcome


@dataclass(frozen=True, slots=True)
class Counts:
    """So many substitutions, deletions and insertions, in one of the comparisons of texts."""

    of: str
    substitutions: int = 0
    deletions: int = 0
    insertions: int = 0

    def is_seen(self, row: TurnRow) -> bool:
        words: Words | None = getattr(row, self.of)
        expected = (self.substitutions, self.deletions, self.insertions)
        counts = words and (words.counts.substitutions, words.counts.deletions, words.counts.insertions)
        return counts == expected

    def __str__(self) -> str:
        parts = {"substituted": self.substitutions, "missing": self.deletions, "too many": self.insertions}
        return f"{self.of}: " + ", ".join(f"{count} {what}" for what, count in parts.items() if count)


@dataclass(frozen=True, slots=True)
class StandsStill:
    """One underrun where nothing is buffered, and none at the longest prebuffer."""

    def is_seen(self, row: TurnRow) -> bool:
        return [row.latency.playback[0].underruns, row.latency.playback[-1].underruns] == [1, 0]

    def __str__(self) -> str:
        return "one underrun at 0 ms, none at 200 ms"


Sign: TypeAlias = Shows | ComesOut | Counts | StandsStill


@dataclass(frozen=True, slots=True)
class Fault:
    """Something a server gets wrong in its answer to the first question, and the sign by which it must be found.

    Attributes:
        name: in words.
        changes: to a good reply.
        sign: what must be in the row, and nothing else of its kind.
        protocols: where it can happen.
        before: changes to the reply before it, of the same run; None for no such reply.
    """

    name: str
    changes: dict[str, Any]
    sign: Sign
    protocols: tuple[TargetName, ...] = ("realtime", "endpoint")
    before: dict[str, Any] | None = None


def _defect(*defects: Defect, **changes: Any) -> dict[str, Any]:
    return {"defects": defects, **changes}


_REALTIME: tuple[TargetName, ...] = ("realtime",)
_ENDPOINT: tuple[TargetName, ...] = ("endpoint",)
_EARLY = (-0.1, *[0.0] * (len(STAGES) - 1))
_SLOW = (0.8, *[0.0] * (len(STAGES) - 1))

FAULTS: tuple[Fault, ...] = (
    Fault(
        "clipped samples",
        _defect(Defect("clipped", 0.21)),
        Shows("full-scale-run", 0.21, also=("true-peak",)),
    ),
    Fault(
        "single samples at full scale",
        _defect(Defect("full-scale", 0.05)),
        Shows("full-scale-share", 0.05, also=("true-peak", "loudness")),
    ),
    Fault(
        "int16 wrap-around",
        _defect(Defect("wrap", 0.30)),
        Shows("wrap-around", 0.30, also=("true-peak",)),
    ),
    Fault(
        "crests between the samples",
        _defect(Defect("between-samples", 0.14)),
        Shows("true-peak"),
    ),
    Fault("click where two chunks meet", _defect(Defect("click", 0.20, 0.25)), Shows("click-seam", 0.20)),
    Fault("click at the start", _defect(Defect("click-start", 0.0, 0.2)), Shows("click-start", 0.0)),
    Fault("click at the end", _defect(Defect("click-end", 0.0, 0.2)), Shows("click-end", 0.52)),
    Fault("dead air inside", _defect(Defect("dead-air", 0.28, 1.2), pace=0.05), Shows("dead-air", 0.26)),
    Fault("DC offset", _defect(Defect("dc", 0.0, 0.03)), Shows("dc-offset")),
    Fault("too loud", {"gain_db": 9.0}, Shows("loudness")),
    Fault("too quiet", {"gain_db": -14.0}, Shows("loudness")),
    Fault("a reply of silence", _defect(Defect("mute")), Shows("loudness")),
    Fault(
        "loudness step between two replies", {"gain_db": 4.0}, Shows("loudness-step"), before={"gain_db": -4.0}
    ),
    Fault("odd byte count", {"breaks": "odd-bytes"}, Shows("odd-bytes")),
    Fault("reply broken off in mid-wave", {"broken_off_chunks": 5}, Shows("broken-off"), _REALTIME),
    Fault("the same, told as its end", {"broken_off_chunks": 5}, Shows("click-end"), _ENDPOINT),
    Fault("delivery stands still", {"stall_chunk": 4, "stall_s": 0.17}, StandsStill()),
    Fault("wrong word heard", {"heard": "mike"}, Counts("heard", substitutions=1, deletions=3), _REALTIME),
    Fault("wrong language heard", {"heard": "quelle heure est il"}, Counts("heard", substitutions=4), _REALTIME),
    Fault("nothing heard", {"heard": ""}, Counts("heard", deletions=4), _REALTIME),
    Fault("words made up", {"heard": "alpha bravo charlie delta thank you"}, Counts("heard", insertions=2), _REALTIME),
    Fault("a word not said", {"said": "alpha bravo delta"}, Counts("spoken", deletions=1), _REALTIME),
    Fault("wrong words said", {"said": "mike mike mike mike"}, Counts("spoken", substitutions=4), _REALTIME),
    Fault("a word not said, without a text", {"said": "alpha bravo delta"}, Counts("echoed", deletions=1), _ENDPOINT),
    Fault("wrong rate", {"breaks": "rate"}, Counts("echoed", substitutions=4)),
    Fault("wrong rate, and told", {"breaks": "declared-rate"}, ComesOut("error", "will answer in"), _REALTIME),
    Fault("reply before the speech is over", {"stages_s": _EARLY}, ComesOut("cut-in")),
    Fault("no reply", {"breaks": "no-reply"}, ComesOut("no-answer")),
    Fault("reply that never ends", {"breaks": "endless"}, ComesOut("error", "fell silent")),
    Fault("event that is not JSON", {"breaks": "not-json"}, ComesOut("error", "not JSON"), _REALTIME),
    Fault("event without a type", {"breaks": "no-type"}, ComesOut("error", "not an event"), _REALTIME),
    Fault("audio that is not base64", {"breaks": "not-base64"}, ComesOut("error", "not base64"), _REALTIME),
    Fault("binary among the events", {"breaks": "wrong-frame"}, ComesOut("error", "a binary message"), _REALTIME),
    Fault("text among the audio", {"breaks": "wrong-frame"}, ComesOut("error", "a text message"), _ENDPOINT),
    Fault("error event", {"breaks": "error"}, ComesOut("error", "out_of_memory"), _REALTIME),
    Fault("failed response", {"breaks": "failed"}, ComesOut("error", "out_of_memory"), _REALTIME),
    Fault("connection lost half-way", {"breaks": "hang-up"}, ComesOut("error", "without a close frame")),
    Fault("connection closed half-way", {"breaks": "close"}, ComesOut("error", "code 1011")),
)  # fmt: skip  # a table, which is not seen with each entry in a line


@dataclass(frozen=True, slots=True)
class BadRun:
    """A run that must be refused.

    Attributes:
        turns: how many, after a good one, which is the cold start.
        changes: to a good reply, in each of them.
        red: the gates that must refuse it.
        late: the harness's own sender is late.
    """

    name: str
    turns: int
    changes: dict[str, Any]
    red: tuple[str, ...]
    late: bool = False


BAD_RUNS: tuple[BadRun, ...] = (
    BadRun(
        "slow, misheard, misspoken",
        8,  # with fewer, a first turn that was late, and so is not the cold start, would keep the median in doubt
        {"stages_s": _SLOW, "heard": "mike", "said": "lima lima"},
        ("ttfa_s p50", "first_byte_s p50", "heard", "spoken", "echoed"),
    ),
    BadRun("clipped", 1, _defect(Defect("clipped", 0.21)), ("clipping",)),
    BadRun("cut in", 3, {"stages_s": _EARLY}, ("cut_ins",)),
    BadRun("unanswered", 3, {"breaks": "no-reply"}, ("no_answers",)),
    BadRun("sent late", 2, {}, ("valid turns",), late=True),
)
