"""The plugin, run by another pytest: what is collected, shared, failed and reported."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from client.events import Failed, Heard, ReplyAudio, ReplyEnded, Spoken
from harness.results import read

ANSWER = [
    (0.3, Heard("hello")),
    (0.3, Spoken("Hi.")),
    (0.31, ReplyAudio(b"\x00\x08" * 4800)),
    (0.32, ReplyEnded()),
]
GATES = """
[run]
valid_share = 0.0
[profiles.embedded.en]
no_answers = 1.0
heard = 1.0
clipping = 9
"""

PLUGIN = ("-p", "harness.plugin", "-p", "no:asyncio")

Gate = Callable[..., pytest.RunResult]


@pytest.fixture
def gate(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, make_clip, scripted_target
) -> tuple[Gate, list[object]]:
    """`run(*arguments, script=...)`: the suites on two short English clips, in `report`; and the targets opened."""
    opened: list[object] = []
    clips = [make_clip("en_1", seconds=0.2, speech_end_s=0.2), make_clip("en_2", seconds=0.2, speech_end_s=0.2)]
    monkeypatch.setattr("harness.plugin.choose", lambda settings: clips)
    monkeypatch.setattr("harness.reports.write_all", lambda folder, **_: (folder / "report.html").touch())
    gates = pytester.path / "gates.toml"
    gates.write_text(GATES, encoding="utf-8")

    def run(*arguments: str, script: object = ANSWER) -> pytest.RunResult:
        @asynccontextmanager
        async def scripted(*_arguments: object, **_settings: object) -> AsyncIterator[object]:
            target = scripted_target(script)
            opened.append(target)
            yield target

        if script is not None:
            monkeypatch.setattr("harness.run.open_target", scripted)
        common = (*PLUGIN, "--judge=none", "--report=report", "--language=en")
        return pytester.runpytest_inprocess(*common, f"--gates={gates}", *arguments, "--pyargs", "harness.suites")

    return run, opened


def test_the_three_suites_share_one_recording_of_each_clip(gate, pytester: pytest.Pytester) -> None:
    run, opened = gate
    result = run("-m", "latency or wer or clipping", "--endpoint=ws://127.0.0.1:9/v1/realtime", "-v")
    result.stdout.fnmatch_lines_random(
        [
            "*test_latency[[]en_1-realtime[]] PASSED*",
            "*test_wer[[]en_2-realtime[]] PASSED*",
            "*test_latency_gate[[]en[]]*",
        ]
    )
    (target,) = opened
    assert len(target.languages) <= 4  # each clip once, and once more where this machine was late
    rows = read(pytester.path / "report").turns
    assert {row.fixture_id for row in rows} == {"en_1", "en_2"}
    assert (pytester.path / "report" / "report.html").is_file()
    result.stdout.fnmatch_lines(["*= gate =*", "*report: report/report.html"])


def test_a_failing_target_fails_every_suite(gate) -> None:
    run, _ = gate
    result = run("-m", "latency or wer or clipping", script=[(0.1, Failed("no memory"))])
    assert result.parseoutcomes()["failed"] >= 6  # two clips in three suites, whatever the gates say
    result.stdout.fnmatch_lines(["*no memory*"])
    assert result.ret == 1


def test_an_endpoint_that_is_not_there_is_a_failure(gate) -> None:
    run, _ = gate
    result = run("-m", "latency", "--endpoint=ws://127.0.0.1:1", script=None)
    result.stdout.fnmatch_lines(["*nothing listens at ws://127.0.0.1:1*"])
    assert result.ret == 1
    assert result.parseoutcomes()["failed"] >= 2


def test_what_keeps_the_run_from_starting_is_an_error_of_every_test(gate, pytester: pytest.Pytester) -> None:
    run, _ = gate
    result = run("-m", "latency", "--target=realtime", script=None)
    result.stdout.fnmatch_lines(["*the realtime target needs an address*"])
    assert result.ret == 1
    assert not (pytester.path / "report").exists()


def test_nothing_to_play_is_an_error_that_says_why(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.fixtures.available", lambda *_settings: [])
    result = pytester.runpytest_inprocess(*PLUGIN, "-m", "wer", "--pyargs", "harness.suites")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*no clips for the languages*s2s fixtures pull*"])


def test_clips_side_by_side_are_refused(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(
        """
        def pytest_addoption(parser):
            parser.addoption("--numprocesses", type=int)
        """
    )
    result = pytester.runpytest_inprocess(*PLUGIN, "--numprocesses=2", "-m", "latency")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*cannot run with -n*"])


def test_a_plain_run_leaves_the_suites_out_and_says_so(gate, pytester: pytest.Pytester) -> None:
    suites = Path(__file__).parents[2] / "harness" / "suites"
    pytester.makeini(f"[pytest]\ntestpaths = . {suites}\n")
    pytester.makepyfile("def test_other(): pass")
    result = pytester.runpytest_inprocess(*PLUGIN)
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["*suites were left out*pytest -m*"])


def test_a_budget_plays_on_while_a_limit_is_undecided(gate, pytester: pytest.Pytester) -> None:
    run, _ = gate
    (pytester.path / "gates.toml").write_text(
        "[run]\nvalid_share = 0.0\n[profiles.embedded.en]\nttfa_s = { p50 = 9 }\n"
    )
    run("-m", "latency", "--endpoint=ws://127.0.0.1:9/", "--budget=60s")
    rows = read(pytester.path / "report").turns
    assert sum(row.outcome != "invalid" for row in rows) > 2
    (median,) = [row for row in read(pytester.path / "report").verdicts if row.gate == "ttfa_s p50"]
    assert median.verdict == "pass"


def test_a_budget_that_is_no_time_is_refused(gate) -> None:
    run, _ = gate
    result = run("-m", "latency", "--budget=soon")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*like 90s, 10m or 1.5h, not 'soon'*"])


def test_other_tests_may_have_a_clip_of_their_own(gate, pytester: pytest.Pytester) -> None:
    suites = Path(__file__).parents[2] / "harness" / "suites"
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.parametrize("clip", [1, 2])
        def test_other(clip): pass
        """
    )
    result = pytester.runpytest_inprocess(*PLUGIN, "--judge=none", "--co", "-q", ".", str(suites / "test_wer.py"))
    result.stdout.fnmatch_lines(["*test_other[[]1[]]", "*test_wer[[]en_1-in-process[]]"])


def test_a_path_into_the_suites_runs_them(gate, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    suites = Path(__file__).parents[2] / "harness" / "suites"
    result = pytester.runpytest_inprocess(*PLUGIN, "--judge=none", "--co", "-q", str(suites / "test_wer.py"))
    result.stdout.fnmatch_lines(["*test_wer[[]en_1-in-process[]]", "*test_wer_gate[[]all[]]"])


def test_a_selection_plans_only_its_clips(gate, pytester: pytest.Pytester) -> None:
    run, _ = gate
    run("-m", "wer", "-k", "en_2", "--endpoint=ws://127.0.0.1:9/")
    assert {row.fixture_id for row in read(pytester.path / "report").turns} == {"en_2"}
    assert not any("not played" in verdict.reason for verdict in read(pytester.path / "report").verdicts)
