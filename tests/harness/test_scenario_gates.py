"""Verdicts on scenarios: kept, broken, undecided."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from harness import gates, scenario_gates
from harness.measures.behaviour import Check
from harness.results import RunHeader, ScenarioRow
from harness.scenarios.performance import PerformanceEvidence


def rows(held: int, broken: int = 0, undecided: int = 0, language: str = "en") -> list[ScenarioRow]:
    kinds = ["held"] * held + ["broken"] * broken + ["undecided"] * undecided
    evidence = PerformanceEvidence(0.02)
    return [
        ScenarioRow(f"{language}-{n}", language, "", "held", (Check("surplus", 1, kind, "so"),), (), evidence)  # type: ignore[arg-type]  # a test's shorthand
        for n, kind in enumerate(kinds)
    ]


def decide(
    path: Path, played: list[ScenarioRow], limits: str = "surplus = 0.25", **header: object
) -> dict[str, object]:
    path.write_text(f"[profiles.embedded.all]\n{limits}\n")
    made = RunHeader("realtime", "embedded", "", "", ("en",), planned=(), scenarios=("a",))
    made = replace(made, **header)  # type: ignore[arg-type]  # a test's shorthand
    return {row.gate: row for row in scenario_gates.decide(gates.load(path), made, played)}


@pytest.mark.parametrize(
    ("held", "broken", "undecided", "verdict"),
    [
        (11, 0, 0, "pass"),
        (10, 0, 0, "not gated"),
        (10, 0, 5, "not gated"),
        (9, 1, 0, "inconclusive"),  # too few to show anything, but nothing that went wrong is passed over
        (19, 1, 0, "pass"),
        (6, 6, 0, "inconclusive"),
        (5, 7, 0, "fail"),
        (0, 0, 3, "inconclusive"),
        (0, 0, 0, "not gated"),
    ],
)
def test_a_limit_is_kept_broken_or_undecided(
    held: int, broken: int, undecided: int, verdict: str, tmp_path: Path
) -> None:
    found = decide(tmp_path / "gates.toml", rows(held, broken, undecided))["surplus"]
    assert found.verdict == verdict, found.reason
    assert found.n == held + broken
    if broken:
        assert f"en-{held}" in found.reason


def test_invalid_scenarios_do_not_count_and_too_many_make_the_run_invalid(tmp_path: Path) -> None:
    late = [replace(row, outcome="invalid") for row in rows(0, 10)]
    found = decide(tmp_path / "gates.toml", [*rows(11, language="fr"), *late])
    assert found["scenarios"].verdict == "invalid"
    assert (found["surplus"].verdict, found["surplus"].n) == ("pass", 11)
    again = [*late, *rows(11)]  # each was played once more, on time
    assert decide(tmp_path / "gates.toml", again)["scenarios"].verdict == "pass"
    assert decide(tmp_path / "gates.toml", [])["scenarios"].reason == "no scenario was played"


def test_nothing_decided_is_no_pass(tmp_path: Path) -> None:
    few = decide(tmp_path / "gates.toml", rows(3))
    assert few["behaviour"].verdict == "inconclusive"
    assert gates.exit_code(list(few.values())) == 2
    assert decide(tmp_path / "gates.toml", rows(3), profile="unknown")["limits"].verdict == "inconclusive"


def test_a_language_has_limits_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "gates.toml"
    path.write_text("[profiles.embedded.each]\nsurplus = 0.25\n")
    header = RunHeader("realtime", "embedded", "", "", ("en", "fr"), planned=(), scenarios=("a",))
    played = [*rows(12), *rows(2, 10, language="fr")]
    found = {
        row.language: row.verdict
        for row in scenario_gates.decide(gates.load(path), header, played)
        if row.gate == "surplus"
    }
    assert found == {"en": "pass", "fr": "fail"}
