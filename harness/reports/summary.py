"""What every report tells: the figures of each language, and the verdict in words."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from harness import statistics
from harness.gates import exit_code
from harness.limits import BEHAVIOUR, SCOPES
from harness.measures import behaviour
from harness.measures.clipping import Finding
from harness.measures.latency import STAGES
from harness.measures.words import Errors, Words, total
from harness.results import Results, RunHeader, ScenarioRow, TurnRow, Verdict, VerdictRow
from harness.statistics import Estimate

OVERALL: dict[int, Verdict] = {0: "pass", 1: "fail", 2: "inconclusive", 3: "invalid"}
_GRAVITY: tuple[Verdict, ...] = ("invalid", "fail", "inconclusive", "not gated", "pass")

LANGUAGE_NAMES = {"en": "English", "fr": "French", "es": "Spanish", "zh": "Chinese", "ja": "Japanese", "ko": "Korean"}


@dataclass(frozen=True, slots=True)
class Rate:
    """A corpus rate: sums over sums.

    `invented` are the errors in utterances without any reference, which are in the sum and are shown apart.
    """

    unit: str
    counts: Errors
    word_counts: Errors | None
    clips: int
    invented: int

    @property
    def value(self) -> float:
        return self.counts.errors / self.counts.units if self.counts.units else math.inf


@dataclass(frozen=True, slots=True)
class LanguageSummary:
    """One language of a run. `verdict` is the gravest of its own limits."""

    language: str
    name: str
    lm: str
    turns: int
    outcomes: Counter[str]
    ttfa_p50: Estimate | None
    ttfa_p95: Estimate | None
    heard: Rate | None
    spoken: Rate | None
    floor: Rate | None
    echoed: Rate | None
    clipping: str
    clipping_fails: bool
    waterfall: tuple[tuple[str, float], ...]
    verdict: Verdict | None


def overall(results: Results) -> Verdict:
    """The verdict on the whole run."""
    return OVERALL[exit_code(results.verdicts)]


def headline(results: Results) -> str:
    """Why the verdict on the whole run is what it is, in a sentence."""
    kinds = Counter(row.verdict for row in results.verdicts)
    broken, open_, kept, ungated = (kinds[kind] for kind in ("fail", "inconclusive", "pass", "not gated"))
    besides = f"; {_counted(ungated, 'limit')} not gated" if ungated else ""
    match overall(results):
        case "invalid":
            reasons = "; ".join(row.reason for row in results.verdicts if row.verdict == "invalid")
            return f"The run says nothing about the server: {reasons}."
        case "fail":
            undecided = f"; {open_} could not be decided" if open_ else ""
            return f"{_counted(broken, 'limit')} broken{undecided}; {kept} kept{besides}."
        case "pass":
            return f"Every limit that could be decided was kept: {kept} of {kept}{besides}."
        case _ if not results.verdicts:
            return "The run was stopped before anything was decided."
        case _ if open_:
            return f"No limit was broken, but {open_} could not be decided: that is not enough for a pass{besides}."
        case _:
            return "No limit was broken, but none could be decided either: that is not enough for a pass."


def _counted(number: int, what: str) -> str:
    return f"{number} {what} was" if number == 1 else f"{number} {what}s were"


_GATES = {
    "ttfa_s": "first audio",
    "first_byte_s": "first byte",
    "cut_ins": "cut-ins",
    "no_answers": "turns without an answer",
    "heard": "errors in what was heard",
    "spoken": "errors in what was spoken",
    "echoed": "errors in what was echoed",
    "clipping": "replies with a finding",
    "premature": "answers before the end of speech",
    "unanswered": "speech without an answer",
    "surplus": "answers too many",
    "false_answers": "answers to what asks for none",
    "missed_interruptions": "interruptions that did not stop the answer",
    "late_stops": "answers that stopped late",
    "false_interruptions": "answers stopped by what is no interruption",
    "wrong_language": "answers in another language",
    "scenarios": "scenarios sent on time",
}


def gate_title(gate: str) -> str:
    """A limit's name for people: `first audio, p50` for `ttfa_s p50`."""
    measure, _, quantile = gate.partition(" ")
    if measure not in _GATES:
        return gate
    return f"{_GATES[measure]}, {quantile}" if quantile else _GATES[measure]


def language_name(code: str) -> str:
    """`Korean` for `ko`; other codes, and `all`, as they are."""
    return LANGUAGE_NAMES.get(code, code)


def gravest(verdicts: Sequence[VerdictRow]) -> Verdict | None:
    """The gravest of several; None of none."""
    return min((row.verdict for row in verdicts), key=_GRAVITY.index, default=None)


def unkept(results: Results) -> list[VerdictRow]:
    """The limits that were broken or could not be decided, the gravest first."""
    rows = [row for row in results.verdicts if row.verdict not in ("pass", "not gated")]
    return sorted(rows, key=lambda row: _GRAVITY.index(row.verdict))


def summarise(results: Results) -> list[LanguageSummary]:
    """The languages of a run in the project's order."""
    present = {row.language for row in results.turns}.union(results.header.languages)
    ordered = [*(code for code in SCOPES if code in present), *sorted(present.difference(SCOPES))]
    return [_language(code, results) for code in ordered]


SCENARIO_GRAVITY: tuple[behaviour.Outcome, ...] = ("error", "broken", "undecided", "invalid", "held")


@dataclass(frozen=True, slots=True)
class Tally:
    """How often something went wrong that could have; `high` is the upper 95 % bound of its share."""

    measure: str
    broken: int
    n: int
    undecided: int
    high: float


def tally(rows: Sequence[ScenarioRow]) -> list[Tally]:
    """Over all scenarios that were sent on time, in the order of the measures."""
    found: list[Tally] = []
    for measure in BEHAVIOUR:
        checks = [check for row in rows if row.outcome != "invalid" for check in row.checks if check.measure == measure]
        if not checks:
            continue
        counts = Counter(check.verdict for check in checks)
        n = counts["held"] + counts["broken"]
        high = statistics.share(counts["broken"], n).high if n else 1.0
        found.append(Tally(measure, counts["broken"], n, counts["undecided"], high))
    return found


def astray(rows: Sequence[ScenarioRow]) -> list[tuple[ScenarioRow, str]]:
    """The scenarios that did not come out as expected, the gravest first, and why in words."""
    unheld = [row for row in rows if row.outcome != "held"]
    return [(row, _why(row)) for row in sorted(unheld, key=lambda row: SCENARIO_GRAVITY.index(row.outcome))]


def _why(row: ScenarioRow) -> str:
    if row.error is not None:
        return row.error
    if row.outcome == "invalid":
        return "sent too late by the harness itself"
    kind = "broken" if row.outcome == "broken" else "undecided"
    told = [f"{gate_title(check.measure)}: {check.told}" for check in row.checks if check.verdict == kind]
    return "; ".join(told) or "nothing was expected of it"


def notes(header: RunHeader) -> list[str]:
    """What a reader must know before the figures."""
    found = []
    if header.rescored:
        by = ", ".join(f"{name} {version}" for name, version in header.rescored.items())
        found.append(f"Stored recordings, scored anew: {by}. The server was not asked again.")
    if "synthetic" in header.tier:
        found.append("Synthetic clips are spoken by the project's own voices: easier to hear than people are.")
    if header.judge_is_engine:
        found.append("The judge is the engine under test: it may share its mistakes, and flatter it.")
    reasons: dict[str, list[str]] = {}
    for name, reason in header.left_out.items():
        reasons.setdefault(reason, []).append(name)
    found += [f"Not played: {', '.join(names)}: {reason}." for reason, names in reasons.items()]
    if header.judge is None and header.planned != ():
        found.append("No judge was asked: what the replies really say was not checked.")
    if not header.lm:
        found.append("The server does not say which language model answers.")
    echoes = [language_name(code) for code, engine in header.lm.items() if engine == "echo"]
    speakers = [language_name(code) for code, engine in header.lm.items() if engine == "smollm2"]
    if speakers and echoes:
        found.append(
            f"The language model SmolLM2 answers {_listed(speakers)} only; {_listed(echoes)} are answered by echo, "
            "which repeats what was heard."
        )
    elif echoes:
        found.append(f"{_listed(echoes)}: answered by echo, which repeats what was heard.")
    return found


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _language(code: str, results: Results) -> LanguageSummary:
    rows = [row for row in results.turns if row.language == code]
    findings = [finding for row in rows if row.clipping for finding in row.clipping.findings]
    waits = [
        row.latency.ttfa_s if row.outcome == "answered" and row.latency.ttfa_s is not None else math.inf
        for row in rows
        if row.outcome not in ("cut-in", "invalid") and not row.latency.cold
    ]
    return LanguageSummary(
        language=code,
        name=language_name(code),
        lm=results.header.lm.get(code, ""),
        turns=len(rows),
        outcomes=Counter(row.outcome for row in rows),
        ttfa_p50=statistics.quantile(waits, 0.5) if waits else None,
        ttfa_p95=statistics.quantile(waits, 0.95) if waits else None,
        heard=_rate([row.heard for row in rows]),
        spoken=_rate([row.spoken for row in rows]),
        floor=_rate([row.floor for row in rows]),
        echoed=_rate([row.echoed for row in rows]) if results.header.lm.get(code) == "echo" else None,
        clipping=_clipping(findings) if any(row.clipping for row in rows) else "–",
        clipping_fails=any(finding.severity == "fail" for finding in findings),
        waterfall=median_waterfall(rows),
        verdict=gravest([row for row in results.verdicts if row.language == code]),
    )


def _clipping(findings: Sequence[Finding]) -> str:
    """The findings of the gravest kind there is."""
    fails = sum(finding.severity == "fail" for finding in findings)
    if fails:
        return f"{fails} fail"
    return f"{len(findings)} warn" if findings else "clean"


def _rate(compared: Sequence[Words | None]) -> Rate | None:
    known = [words for words in compared if words is not None]
    if not known:
        return None
    by_word = [words.word_counts for words in known if words.word_counts is not None]
    invented = sum(words.counts.errors for words in known if not words.counts.units)
    counts = total(words.counts for words in known)
    return Rate(known[0].unit, counts, total(by_word) if by_word else None, len(known), invented)


def median_waterfall(rows: Sequence[TurnRow]) -> tuple[tuple[str, float], ...]:
    """Each stage's median over the answered turns but the cold start, in seconds.

    The medians need not add up to the median wait.
    """
    lengths: dict[str, list[float]] = {}
    for row in rows:
        if row.outcome == "answered" and not row.latency.cold:
            for bar in row.latency.waterfall:
                lengths.setdefault(bar.stage, []).append(bar.length_s)
    return tuple((stage, median(lengths[stage])) for stage in (*STAGES, "unexplained") if stage in lengths)


def seconds(value: float) -> str:
    """For people: `1.23 s`, or a dash for a wait without end."""
    return f"{value:.2f} s" if math.isfinite(value) else "–"


def percent(rate: Rate | None) -> str:
    """For people: `4.3 %`, or a dash where nothing was measured."""
    if rate is None:
        return "–"
    return f"{100 * rate.value:.1f} %" if math.isfinite(rate.value) else f"{rate.counts.errors} invented"


def bound(found: Estimate, p: float) -> str:
    """For people: a quantile's upper bound, or that there are too few turns for one."""
    if found.n < statistics.smallest_n(p):
        return "n too small"
    return f"at most {seconds(found.high)}" if math.isfinite(found.high) else "perhaps no answer"
