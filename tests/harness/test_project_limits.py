"""The limits of `harness/gates.toml`: there are some for every profile, and each can turn red and green."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal, get_args

import pytest

from harness import gates, scenario_gates
from harness.limits import BEHAVIOUR, Limit
from harness.measures.behaviour import Check, Measure
from harness.measures.clipping import Clipping, Finding
from harness.results import RunHeader, ScenarioRow, TurnRow
from harness.scenarios.performance import PerformanceEvidence
from pipeline.profiles import profile_names
from tests.harness.made_turns import turns

LANGUAGES = ("en", "fr", "es", "zh", "ja", "ko")


def test_every_profile_has_limits() -> None:
    assert gates.load().profiles.keys() == set(profile_names())


@pytest.mark.parametrize("profile", profile_names())
def test_the_limits_of_the_project_name_every_language_and_the_whole(profile: str) -> None:
    loaded = gates.load()
    for language in LANGUAGES:
        names = {limit.name for limit in loaded.limits(profile, "realtime", language)}
        assert names == {"ttfa_s p50", "ttfa_s p95", "heard", "clipping"}
    assert {limit.name for limit in loaded.limits(profile, "realtime", "all")} == {
        "ttfa_s p50", "ttfa_s p95", "cut_ins", "no_answers", *BEHAVIOUR,
    }  # fmt: skip  # a table, which is not seen with each entry in a line


@pytest.mark.parametrize(
    ("profile", "english_s"), [("embedded", 1.2), ("l4", 0.8), ("l4-small", 0.7), ("openai-lm", 1.7)]
)
def test_english_has_a_limit_of_its_own(profile: str, english_s: float) -> None:
    assert Limit("ttfa_s", english_s, 0.5) in gates.load().limits(profile, "realtime", "en")


def judged(profile: str, rows: list[TurnRow]) -> tuple[set[tuple[str, str]], dict[tuple[str, str], str]]:
    """The limits of the project for a profile, and what becomes of them when each language had these turns."""
    header = RunHeader("realtime", profile, "recorded", "", languages=LANGUAGES)
    played = [replace(row, language=language) for language in LANGUAGES for row in rows]
    loaded = gates.load()
    limits = {
        (limit.name, scope)
        for scope in (*LANGUAGES, "all")
        for limit in loaded.limits(profile, "realtime", scope)
        if limit.measure not in BEHAVIOUR
    }
    return limits, {(row.gate, row.language): row.verdict for row in gates.decide(loaded, header, played)}


@pytest.mark.parametrize("profile", profile_names())
def test_each_limit_of_the_project_can_turn_red_and_green(profile: str) -> None:
    crack = Clipping((Finding("wrap-around", "fail", 0, 1.0, 65_000, 49_152, "steps"),), 1.0, 0.0, -20.0)
    limits, bad = judged(
        profile,
        turns(60, 9.0, errors=9, clipping=crack)
        + turns(40, -0.5, "cut-in", errors=9)
        + turns(40, None, "no-answer", errors=9),
    )
    assert {gate: bad[gate] for gate in limits} == dict.fromkeys(limits, "fail")
    limits, good = judged(profile, turns(60, 0.3))
    assert {gate: good[gate] for gate in limits} == dict.fromkeys(limits, "pass")


@pytest.mark.parametrize("profile", profile_names())
@pytest.mark.parametrize(("held", "verdict"), [("held", "pass"), ("broken", "fail")])
def test_each_limit_on_behaviour_can_turn_red_and_green(
    profile: str, held: Literal["held", "broken"], verdict: str
) -> None:
    measures: tuple[Measure, ...] = get_args(Measure)
    checks = tuple(Check(measure, 1, held, "") for measure in measures)
    rows = [
        ScenarioRow(f"en-{number}", "en", "", "held", checks, (), PerformanceEvidence(0.02)) for number in range(100)
    ]
    header = RunHeader(
        "realtime", profile, "recorded", "", languages=LANGUAGES, scenarios=tuple(row.scenario_id for row in rows)
    )
    found = {row.gate: row.verdict for row in scenario_gates.decide(gates.load(), header, rows)}
    assert {measure: found[measure] for measure in BEHAVIOUR} == dict.fromkeys(BEHAVIOUR, verdict)
