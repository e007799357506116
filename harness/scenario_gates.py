"""Verdicts on scenarios: how often each thing that can go wrong did. Missing evidence is never a pass."""

from __future__ import annotations

from collections.abc import Sequence

from harness import statistics
from harness.gates import finite, sent_on_time, smallest, within
from harness.limits import ALL, BEHAVIOUR, SCOPES, Gates, Limit
from harness.results import RunHeader, ScenarioRow, Verdict, VerdictRow

PLAYED = "scenarios"
"""The name of the verdict on whether enough of them were sent on time."""


def decide(gates: Gates, header: RunHeader, rows: Sequence[ScenarioRow]) -> list[VerdictRow]:
    """A verdict for every limit on behaviour that applies to this run; none for a run that was to play no scenario.

    A limit is on a share: of all times that the measure was put to the test, those in which it went wrong. It passes if
    the upper bound is within the limit and fails if the lower one is beyond (Clopper and Pearson, as for turns).
    """
    if not header.scenarios:
        return []
    last = {row.scenario_id: row for row in rows}  # a scenario that was sent late was played again
    valid = [row for row in last.values() if row.outcome != "invalid"]
    verdicts = [sent_on_time(gates, PLAYED, len(valid), len(last), of="scenario")]
    if header.profile not in gates.profiles:
        reason = f"the gates file has no limits for the profile {header.profile!r}; add [profiles.{header.profile}]"
        return [*verdicts, VerdictRow("limits", "behaviour", ALL, "inconclusive", len(valid), reason)]
    for scope in [code for code in SCOPES if code in header.languages or code == ALL]:
        own = [row for row in valid if scope in (ALL, row.language)]
        limits = gates.limits(header.profile, header.target, scope)
        verdicts += (_judge(limit, scope, own) for limit in limits if limit.measure in BEHAVIOUR)
    if all(verdict.verdict == "not gated" for verdict in verdicts[1:]):
        reason = "no limit on behaviour could be decided: too few scenarios; play more of them"
        verdicts.append(VerdictRow("behaviour", "behaviour", ALL, "inconclusive", len(valid), reason))
    return verdicts


def _judge(limit: Limit, scope: str, rows: Sequence[ScenarioRow]) -> VerdictRow:
    checks = [(row, check) for row in rows for check in row.checks if check.measure == limit.measure]
    broken = [row.scenario_id for row, check in checks if check.verdict == "broken"]
    n = sum(check.verdict != "undecided" for _, check in checks)
    if not n:
        verdict: Verdict = "inconclusive" if checks else "not gated"
        reason = f"none of {len(checks)} times showed it" if checks else "no scenario puts it to the test"
        return VerdictRow(limit.name, "behaviour", scope, verdict, 0, reason, limit.value)
    found = statistics.share(len(broken), n)
    so_far = f"{len(broken)} of {n} times"
    if broken:
        so_far += f" ({', '.join(dict.fromkeys(broken))})"
    verdict = within(found, limit.value)
    # With too few times nothing can be shown, but what did go wrong is in the way of a pass all the same.
    if verdict == "inconclusive" and n < smallest(limit) and not broken:
        verdict, reason = "not gated", f"n too small: even none of {n} would not show it; {so_far}"
    else:
        reason = f"{so_far}, at most {found.high:.1%}; limit {limit.value:.1%}"
    figures = map(finite, (found.value, found.low, found.high))
    return VerdictRow(limit.name, "behaviour", scope, verdict, n, reason, limit.value, *figures)
