"""Verdicts: whether the turns of a run kept their limits. Missing evidence is never a pass.

Those on scenarios are in `scenario_gates.py`.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from harness import sequential, statistics
from harness.limits import (
    ALL,
    BEHAVIOUR,
    CLIPPING,
    LATENCIES,
    SCOPES,
    SHARES,
    WORDS,
    Gates,
    GatesError,
    Limit,
    load,
)
from harness.measures.words import Words
from harness.results import Family, RunHeader, TurnRow, Verdict, VerdictRow
from harness.sequential import Look
from harness.statistics import Estimate

__all__ = ["Gates", "GatesError", "decide", "exit_code", "finite", "lacking", "load", "smallest", "within"]

SMALLEST_BLOCKS = 5
"""Speakers a bootstrap takes; with fewer it draws clips, and says so."""


def decide(gates: Gates, header: RunHeader, rows: Sequence[TurnRow], looks: Sequence[Look] = ()) -> list[VerdictRow]:
    """A verdict for every limit that applies to this run, and for the run itself.

    Args:
        gates: the limits.
        header: of the run; its profile, target and languages say which limits apply.
        rows: every turn played, in order.
        looks: the times at which it was decided whether to play on, the last at the last row; none for a run whose
            length was fixed beforehand.
    """
    if header.planned == ():
        return []  # a run of scenarios alone
    looks = looks or (Look(len(rows)),)
    evidence = _Evidence(header, rows, looks)
    valid = evidence.valid
    counted = len(rows) - sum(_was_played_again(index, rows) for index in range(len(rows)))
    verdicts = [sent_on_time(gates, "valid turns", len(valid), counted, of="turn")]
    if header.profile not in gates.profiles:
        reason = f"the gates file has no limits for the profile {header.profile!r}; add [profiles.{header.profile}]"
        return [*verdicts, VerdictRow("limits", "run", ALL, "inconclusive", len(valid), reason)]
    present = {row.language for row in rows}.union(header.languages)
    for scope in [*(code for code in SCOPES if code in present), *sorted(present.difference(SCOPES)), ALL]:
        own = evidence.of(scope)
        limits = gates.limits(header.profile, header.target, scope)
        verdicts += (_judge(limit, scope, own) for limit in limits if limit.measure not in BEHAVIOUR)
    verdicts += _cold_start(valid)
    quantiles = [verdict for verdict in verdicts if verdict.gate.startswith(LATENCIES)]
    if all(verdict.verdict == "not gated" for verdict in quantiles):
        reason = "no latency limit could be decided: too few turns; play more fixtures, or repeat them"
        verdicts.append(VerdictRow("latency", "latency", ALL, "inconclusive", len(valid), reason))
    return verdicts


def lacking(gates: Gates, header: RunHeader, verdicts: Sequence[VerdictRow]) -> dict[str, float]:
    """The scopes (a language, or `all`) that more turns may decide, with the fewest turns that could.

    Only limits on quantiles and shares are meant: the words of a clip that is played again are the same words.
    """
    fewest: dict[str, float] = {}
    for verdict in verdicts:
        found = {limit.name: limit for limit in gates.limits(header.profile, header.target, verdict.language)}
        limit = found.get(verdict.gate)
        if limit is None or (limit.p is None and limit.measure not in SHARES):
            continue
        if verdict.verdict == "inconclusive":
            turns = 1.0
        elif verdict.verdict == "not gated":
            turns = max(1.0, smallest(limit) - verdict.n)
        else:
            continue
        fewest[verdict.language] = min(turns, fewest.get(verdict.language, turns))
    return fewest


def exit_code(verdicts: Sequence[VerdictRow]) -> int:
    """0 pass, 1 fail, 2 inconclusive, 3 the run itself is invalid. A run without a pass is inconclusive."""
    found = {verdict.verdict for verdict in verdicts}
    if "invalid" in found:
        return 3
    if "fail" in found:
        return 1
    return 2 if "inconclusive" in found or "pass" not in found else 0


def _was_played_again(index: int, rows: Sequence[TurnRow]) -> bool:
    """An invalid try that the next one, of the same clip, stands for."""
    row, following = rows[index], rows[index + 1 : index + 2]
    return row.outcome == "invalid" and any(other.fixture_id == row.fixture_id for other in following)


@dataclass(frozen=True, slots=True)
class _Evidence:
    """What was played, and when it was looked at."""

    header: RunHeader
    rows: Sequence[TurnRow]
    looks: Sequence[Look]

    @property
    def valid(self) -> list[TurnRow]:
        return [row for row in self.rows if row.outcome != "invalid"]

    @property
    def spent(self) -> list[float]:
        return [look.spent for look in self.looks]

    def sizes(self, counts: Callable[[TurnRow], bool]) -> list[int]:
        """How many turns of a kind there were at each look."""
        return [sum(map(counts, self.valid_until(look))) for look in self.looks]

    def valid_until(self, look: Look) -> list[TurnRow]:
        return [row for row in self.rows[: look.turns] if row.outcome != "invalid"]

    def of(self, scope: str) -> _Evidence:
        """The turns of a language with its looks, or of all languages with those at which all were heard alike.

        Once only some languages are still undecided, only those are played again; that must not change what is said
        about all of them together.
        """
        if scope != ALL:
            return _Evidence(
                self.header,
                [row for row in self.rows if row.language == scope],
                [Look(sum(r.language == scope for r in self.rows[: look.turns]), look.spent) for look in self.looks],
            )
        looks = [look for look in self.looks if self._is_balanced(look)] or [self.looks[-1]]
        return _Evidence(self.header, self.rows[: looks[-1].turns], looks)

    def _is_balanced(self, look: Look) -> bool:
        tries = range(look.turns)
        played = Counter(self.rows[i].fixture_id for i in tries if not _was_played_again(i, self.rows))
        return len(set(played.values())) <= 1


def sent_on_time(gates: Gates, gate: str, valid: int, played: int, *, of: str) -> VerdictRow:
    """Whether enough of what was played, turns or scenarios, was sent on time for a verdict on it."""
    share = valid / played if played else 0.0
    verdict: Verdict = "pass" if played and share >= gates.valid_share else "invalid"
    reason = f"{valid} of {played} {of}s were sent on time; {gates.valid_share:.0%} must be"
    if not played:
        reason = f"no {of} was played"
    elif verdict == "invalid":
        reason += ": the machine of the harness is too busy to measure on"
    return VerdictRow(gate, "run", ALL, verdict, played, reason, gates.valid_share, share)


def _cold_start(rows: Sequence[TurnRow]) -> list[VerdictRow]:
    """The wait of the run's first conversation, told apart from the quantiles that it is not in."""
    told = "the first turn of the run, {}, first audio: {}; it is in no quantile"
    return [
        VerdictRow(
            gate="cold start",
            family="latency",
            language=ALL,
            verdict="not gated",
            n=1,
            reason=told.format(row.fixture_id, _seconds(_wait_s(row, "ttfa_s"))),
            value=row.latency.ttfa_s,
        )
        for row in rows
        if row.latency.cold
    ]


def _wait_s(row: TurnRow, measure: str) -> float:
    """A turn without an audible answer waited for ever."""
    waited_s: float | None = getattr(row.latency, measure) if row.outcome in ("answered", "cut-in") else None
    return math.inf if waited_s is None else waited_s


def _judge(limit: Limit, scope: str, evidence: _Evidence) -> VerdictRow:
    family: Family = "clipping" if limit.measure in CLIPPING else "words" if limit.measure in WORDS else "latency"
    verdict, reason, n, found = _judgement(limit, evidence)
    figures = (found.value, found.low, found.high) if found else ()
    return VerdictRow(limit.name, family, scope, verdict, n, reason, limit.value, *map(finite, figures))


_Judgement: TypeAlias = tuple[Verdict, str, int, Estimate | None]


def _judgement(limit: Limit, evidence: _Evidence) -> _Judgement:
    rows = evidence.valid
    if not rows:
        return "inconclusive", "no valid turn was played", 0, None
    if limit.p is not None:
        return _of_quantile(limit, limit.p, evidence)
    if limit.measure in SHARES:
        return _of_share(limit, evidence)
    if limit.measure in WORDS:
        return _of_words(limit, evidence.header, rows)
    return _of_clipping(limit, rows)


def _of_quantile(limit: Limit, p: float, evidence: _Evidence) -> _Judgement:
    waits = [_wait_s(row, limit.measure) for row in evidence.valid if _is_waited_for(row)]
    takes = smallest(limit)
    if not waits and all(row.latency.cold for row in evidence.valid):
        return "not gated", f"n too small: 0 of the {takes} turns it takes, besides the cold start", 0, None
    if not waits:
        return "inconclusive", "every reply was a cut-in, or the cold start", 0, None
    sizes = evidence.sizes(_is_waited_for)

    def at(size: int, confidence: float) -> Estimate:
        return statistics.quantile(waits[:size], p, confidence)

    found = sequential.over_looks(at, sizes, evidence.spent, smallest=takes)
    so_far = f"p{100 * p:g} {_seconds(found.value)}"
    if found.n < takes:
        return "not gated", f"n too small: {found.n} of the {takes} turns it takes; {so_far}", found.n, found
    bounds = f"between {_seconds(found.low)} and {_seconds(found.high)}{_over(sizes)}"
    return within(found, limit.value), f"{so_far}, {bounds}; limit {_seconds(limit.value)}", found.n, found


def _of_share(limit: Limit, evidence: _Evidence) -> _Judgement:
    outcomes = ("cut-in",) if limit.measure == "cut_ins" else ("no-answer", "error")
    events = [row.outcome in outcomes for row in evidence.valid]
    sizes = evidence.sizes(lambda row: True)

    def at(size: int, confidence: float) -> Estimate:
        return statistics.share(sum(events[:size]), size, confidence)

    found = sequential.over_looks(at, sizes, evidence.spent)
    so_far = f"{sum(events)} of {found.n} turns"
    verdict = within(found, limit.value)
    if verdict == "inconclusive" and found.n < smallest(limit):
        return "not gated", f"n too small: even none of {found.n} would not show it; {so_far}", found.n, found
    return verdict, f"{so_far}, at most {found.high:.1%}{_over(sizes)}; limit {limit.value:.1%}", found.n, found


def smallest(limit: Limit) -> float:
    """How many samples it takes to show that a limit on a quantile or a share is kept; no number shows a share of 0."""
    if limit.p is not None:
        return statistics.smallest_n(limit.p)
    if not limit.value:
        return math.inf
    return statistics.smallest_n(1 - limit.value) if limit.value < 1 else 1


def _is_waited_for(row: TurnRow) -> bool:
    """Cut-ins stand apart, under their own limit, and so does the cold start."""
    return row.outcome != "cut-in" and not row.latency.cold


def _over(sizes: Sequence[int]) -> str:
    return f" over {len(sizes)} looks" if len(sizes) > 1 else ""


def _of_words(limit: Limit, header: RunHeader, rows: Sequence[TurnRow]) -> _Judgement:
    if limit.measure != "heard" and header.judge is None:
        return "not gated", "no judge was asked", 0, None
    if limit.measure == "echoed" and any(header.lm.get(row.language) != "echo" for row in rows):
        return "not gated", "the server is not known to echo in this language", 0, None
    compared: list[tuple[TurnRow, Words]] = [
        (row, words) for row in rows if (words := getattr(row, limit.measure)) is not None
    ]
    replied = [row for row in rows if row.outcome in ("answered", "cut-in")]
    missing = sum(getattr(row, limit.measure) is None for row in replied)
    if not any(words.counts.units for _, words in compared):
        return "inconclusive", "no text to compare", 0, None
    speakers = {row.speaker for row, _ in compared}
    by_speaker = len(speakers) >= SMALLEST_BLOCKS
    found = statistics.corpus_rate(
        [words.counts.errors for _, words in compared],
        [words.counts.units for _, words in compared],
        [row.speaker if by_speaker else row.fixture_id for row, _ in compared],
    )
    so_far = f"{found.value:.1%} over {found.n} {'speakers' if by_speaker else 'clips'}"
    if found.n < SMALLEST_BLOCKS:
        return "not gated", f"n too small: {found.n} of the {SMALLEST_BLOCKS} clips it takes; {so_far}", found.n, found
    verdict = within(found, limit.value)
    reason = f"{so_far}, between {found.low:.1%} and {found.high:.1%}; limit {limit.value:.1%}"
    if verdict == "pass" and missing:
        return "inconclusive", f"{missing} of {len(replied)} replies have no text; {reason}", found.n, found
    return verdict, reason, found.n, found


def _of_clipping(limit: Limit, rows: Sequence[TurnRow]) -> _Judgement:
    examined = [row.clipping for row in rows if row.clipping is not None]
    if not examined:
        return "inconclusive", "no reply to examine", 0, None
    bad = [{finding.check for finding in clipping.findings if finding.severity == "fail"} for clipping in examined]
    count = sum(map(bool, bad))
    checks = Counter(check for checks in bad for check in checks)
    named = ", ".join(f"{check} ({number})" for check, number in sorted(checks.items()))
    reason = f"{count} of {len(examined)} replies have a finding{': ' + named if named else ''}"
    verdict: Verdict = "pass" if count <= limit.value else "fail"
    return verdict, reason, len(examined), Estimate(count, count, count, len(examined))


def within(found: Estimate, limit: float) -> Verdict:
    """Over several looks both can be so, where the server became slower meanwhile: that is a failure."""
    if found.low > limit:
        return "fail"
    return "pass" if found.high <= limit else "inconclusive"


def finite(number: float) -> float | None:
    return number if math.isfinite(number) else None


def _seconds(seconds: float) -> str:
    return f"{seconds:.2f} s" if math.isfinite(seconds) else "no answer" if seconds > 0 else "no bound"
