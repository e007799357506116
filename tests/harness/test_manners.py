"""Each way of misbehaving in a conversation, by the reference server, on made-up time: found, and its gate red."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from harness import gates, scenario_gates, virtual_time
from harness.limits import BEHAVIOUR
from harness.reference.behaviour import Behaviour, Manners
from harness.results import ResultsWriter, RunHeader, ScenarioRow, VerdictRow
from harness.run import Run
from harness.run_header import unfinished
from harness.run_settings import RunSettings
from harness.self_test.clips import make_questions
from harness.self_test.driving import LIMIT_S, _Aimed
from harness.self_test.manners import MANNERS, Case, cast_of
from harness.targets import TargetName

TIMES = 5
LIMIT = 0.5
"""Which five of five show to be broken, and none of five to be kept."""
PLAYED = [
    (case, protocol)
    for case in MANNERS
    for protocol in ("realtime", "endpoint")
    if protocol == "realtime" or not (case.over_a_reply or case.sign == "wrong_language")
]

pytestmark = pytest.mark.usefixtures("reference_in_memory")


def play(
    folder: Path, case: Case, manners: Manners, protocol: TargetName = "realtime", times: int = 1
) -> tuple[list[ScenarioRow], list[VerdictRow]]:
    """The case so often, and the verdicts by limits on everything."""
    path = folder / "gates.toml"
    path.write_text("[profiles.reference.all]\n" + "".join(f"{name} = {LIMIT}\n" for name in BEHAVIOUR))
    target = _Aimed(protocol, "ws://reference")
    target.behaviour = Behaviour(0.0, manners=manners)
    casting = cast_of(case, make_questions(folder))
    played = [replace(casting, scenario=replace(casting.scenario, id=f"{n}")) for n in range(times)]
    names = tuple(one.scenario.id for one in played)
    header = RunHeader(protocol, "reference", "synthetic", "", ("en",), planned=(), scenarios=names)

    async def everything() -> tuple[list[ScenarioRow], list[VerdictRow]]:
        with ResultsWriter(folder / "run", header) as writer:
            settings = RunSettings(folder / "run", target=protocol, limit_s=LIMIT_S)
            run = Run(settings, target, header, [], writer, gates.load(path), None)
            rows = [await run.scenario(one) for one in played]
            return rows, run.verdicts()

    return virtual_time.run(everything())


@pytest.mark.parametrize(("case", "protocol"), PLAYED, ids=lambda value: getattr(value, "name", value))
def test_whoever_behaves_is_not_blamed_and_who_does_not_is_found(
    case: Case, protocol: TargetName, tmp_path: Path
) -> None:
    (good,), _ = play(tmp_path, case, case.good, protocol)
    assert good.outcome == "held", [check for check in good.checks if check.verdict != "held"]
    (bad,), _ = play(tmp_path, case, case.bad, protocol)
    assert bad.outcome == "broken"
    assert {check.measure for check in bad.checks if check.verdict == "broken"} == {case.sign}


@pytest.mark.parametrize("case", MANNERS, ids=lambda case: case.name)
def test_each_gate_is_red_by_its_fault_and_green_without_it(case: Case, tmp_path: Path) -> None:
    _, good = play(tmp_path, case, case.good, times=TIMES)
    green = {row.gate: row.verdict for row in good}
    assert green[case.sign] == "pass"
    assert gates.exit_code(good) == 0
    _, bad = play(tmp_path, case, case.bad, times=TIMES)
    red = {row.gate: row.verdict for row in bad}
    assert red[case.sign] == "fail"
    assert [gate for gate, verdict in red.items() if verdict == "fail"] == [case.sign]
    assert gates.exit_code(bad) == 1


def test_every_measure_has_its_fault() -> None:
    assert sorted(case.sign for case in MANNERS) == sorted(BEHAVIOUR)


def test_the_moment_of_a_stop_is_exact(tmp_path: Path) -> None:
    (case,) = (case for case in MANNERS if case.sign == "late_stops")
    (row,), _ = play(tmp_path, case, case.bad)
    (late,) = (check for check in row.checks if check.measure == "late_stops")
    start_s = row.said[1].speech_start_s
    assert start_s is not None
    assert late.at_ms is not None
    assert late.at_ms / 1000 - start_s == pytest.approx(0.4, abs=0.021)  # the server looks once a frame
    assert "stopped 0.4" in late.told


def test_a_scenario_that_was_not_played_keeps_the_run_from_passing(tmp_path: Path) -> None:
    case = MANNERS[0]
    rows, _ = play(tmp_path, case, case.good, times=TIMES)
    header = RunHeader("realtime", "reference", "synthetic", "", ("en",), planned=(), scenarios=("0", "unplayed"))
    (left,) = unfinished(header, [], rows)
    assert (left.verdict, left.reason) == ("inconclusive", "the run was stopped: 1 of 2 scenarios were not played")
    assert scenario_gates.decide(gates.load(), replace(header, scenarios=()), rows) == []
