"""The suite of scenarios, run by another pytest: played when it is asked for, and then alone."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from client.events import ReplyAudio, ReplyEnded
from harness.fixtures.scenarios import Cue, Line, Scenario
from harness.results import read
from harness.scenarios.casting import Cast, Casting

ANSWER = [(0.5, ReplyAudio(b"\x00\x08" * 4800)), (0.6, ReplyEnded())]
GATES = "[run]\nvalid_share = 0.0\n[profiles.embedded.all]\nsurplus = 1.0\nunanswered = 0.9\n"

Run = Callable[..., pytest.RunResult]


@pytest.fixture
def run(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, make_clip, scripted_target) -> Run:
    """`run(*arguments, script=...)`: the suites on a short clip, and on two scenarios that are made of it."""
    clip = make_clip("en_1", seconds=0.2, speech_end_s=0.2)
    line = Line("en_1", None, None, Cue("after", 0.0), 0.0, 0.0, None, False, ("answered",))
    played = tuple(Cast(Scenario(f"en-{n}", "", "en", (line,), None), {"en_1": clip}) for n in ("one", "two"))
    monkeypatch.setattr("harness.plugin.choose", lambda settings: [clip])
    chosen = lambda settings: Casting(played) if "behaviour" in settings.suites else Casting()  # noqa: E731 - one line
    monkeypatch.setattr("harness.plugin.choose_scenarios", chosen)
    monkeypatch.setattr("harness.reports.write_all", lambda folder, **_: (folder / "report.html").touch())
    (pytester.path / "gates.toml").write_text(GATES, encoding="utf-8")

    def run(*arguments: str, script: object = ANSWER) -> pytest.RunResult:
        @asynccontextmanager
        async def scripted(*_arguments: object, **_settings: object) -> AsyncIterator[object]:
            yield scripted_target(script)

        monkeypatch.setattr("harness.run.open_target", scripted)
        common = ("-p", "harness.plugin", "-p", "no:asyncio", "--judge=none", "--report=report", "--language=en")
        own = (f"--gates={pytester.path / 'gates.toml'}", "--endpoint=ws://127.0.0.1:9/v1/realtime")
        return pytester.runpytest_inprocess(*common, *own, *arguments, "--pyargs", "harness.suites")

    return run


def test_scenarios_are_played_alone(run: Run, pytester: pytest.Pytester) -> None:
    result = run("-m", "behaviour", "-v")
    names = ["*test_behaviour[[]en-one[[]realtime[]][]]*", "*test_behaviour[[]en-two[[]realtime[]][]]*"]
    result.stdout.fnmatch_lines_random([*names, "*test_behaviour_gate[[]all[]]*"])
    found = read(pytester.path / "report")
    assert {row.scenario_id for row in found.scenarios} == {"en-one", "en-two"} == set(found.header.scenarios)
    assert (found.turns, found.header.planned) == ((), ())
    assert {row.gate for row in found.verdicts} >= {"scenarios", "surplus", "unanswered"}


def test_one_scenario_can_be_picked(run: Run, pytester: pytest.Pytester) -> None:
    run("-m", "behaviour", "-k", "one")
    assert read(pytester.path / "report").header.scenarios == ("en-one",)


def test_what_goes_wrong_fails(run: Run) -> None:
    twice = [(0.5, ANSWER[0][1]), (0.6, ReplyEnded()), (0.7, ANSWER[0][1]), (0.8, ReplyEnded())]
    result = run("-m", "behaviour", script=twice)
    assert result.parseoutcomes()["failed"] >= 2
    result.stdout.fnmatch_lines(["*line 1: surplus: 2 replies*"])


def test_the_other_suites_play_no_scenario(run: Run, pytester: pytest.Pytester) -> None:
    run("-m", "latency")
    found = read(pytester.path / "report")
    assert (found.scenarios, found.header.scenarios, found.header.planned) == ((), (), ("en_1",))
    assert "behaviour" not in found.header.versions


def test_a_folder_of_that_name_does_not_ask_for_them(run: Run, pytester: pytest.Pytester) -> None:
    run("-m", "latency", "--rootdir", str(pytester.mkdir("behaviour")))
    assert read(pytester.path / "report").header.scenarios == ()


def test_both_can_be_played(run: Run, pytester: pytest.Pytester) -> None:
    run("-m", "latency or behaviour")
    found = read(pytester.path / "report")
    assert found.header.planned == ("en_1",)
    assert len(found.header.scenarios) == 2
    assert {row.fixture_id for row in found.turns} == {"en_1"}
