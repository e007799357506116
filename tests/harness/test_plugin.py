"""The plugin, run by another pytest: what is collected, shared, failed and reported."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from client.events import Failed, Heard, ReplyAudio, ReplyEnded, Spoken
from harness.pytest_options import OPTIONS, Option, OptionError, settings_of
from harness.results import read
from harness.run_settings import RunSettings

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
            "*test_latency[[]en_1[[]realtime[]][]] PASSED*",
            "*test_wer[[]en_2[[]realtime[]][]] PASSED*",
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
    monkeypatch.setattr("harness.fixtures.available", lambda *_settings, **_more: [])
    result = pytester.runpytest_inprocess(*PLUGIN, "-m", "wer", "--pyargs", "harness.suites")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*no clips for the languages*s2s fixtures pull*"])


@pytest.mark.parametrize("parallel", [("-n", "2"), ("--tx", "2*popen", "--dist", "load")])
def test_clips_side_by_side_are_refused(gate, parallel: tuple[str, ...]) -> None:
    run, opened = gate
    result = run("-m", "latency", *parallel)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*does not run under pytest-xdist*adds to the latency*add -n 0*"])
    assert not opened


def test_clips_one_by_one_are_played_where_others_use_xdist(gate, pytester: pytest.Pytester) -> None:
    run, opened = gate
    pytester.makeini("[pytest]\naddopts = -n 2\n")
    run("-m", "wer", "-k", "en_2", "--endpoint=ws://127.0.0.1:9/", "-n", "0")
    assert len(opened) == 1


def test_other_tests_run_side_by_side_without_the_suites(pytester: pytest.Pytester) -> None:
    pytester.makeini("[pytest]\naddopts = --pyargs\ntestpaths = test_other.py harness.suites\n")
    pytester.makepyfile(test_other="def test_one(): pass\ndef test_two(): pass")
    result = pytester.runpytest_subprocess(*PLUGIN, "-n", "2")
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(["*suites were left out*pytest -m*"])


def test_what_is_marked_and_plays_nothing_is_left_alone(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.latency
        def test_fast(): pass
        """
    )
    pytester.runpytest_inprocess(*PLUGIN).assert_outcomes(passed=1)


def test_to_ask_for_other_tests_is_not_to_ask_for_the_suites(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("def test_other(): pass")
    result = pytester.runpytest_inprocess(*PLUGIN, "-m", "not latency and not wer", "-n", "0")
    result.assert_outcomes(passed=1)
    result.stdout.no_fnmatch_line("gate: *")


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
    result.stdout.fnmatch_lines(["*test_other[[]1[]]", "*test_wer[[]en_1[[]in-process[]][]]"])


def test_a_path_into_the_suites_runs_them(gate, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    suites = Path(__file__).parents[2] / "harness" / "suites"
    result = pytester.runpytest_inprocess(*PLUGIN, "--judge=none", "--co", "-q", str(suites / "test_wer.py"))
    result.stdout.fnmatch_lines(["*test_wer[[]en_1[[]in-process[]][]]", "*test_wer_gate[[]all[]]"])


def test_a_selection_plans_only_its_clips(gate, pytester: pytest.Pytester) -> None:
    run, _ = gate
    run("-m", "wer", "-k", "en_2", "--endpoint=ws://127.0.0.1:9/")
    assert {row.fixture_id for row in read(pytester.path / "report").turns} == {"en_2"}
    assert not any("not played" in verdict.reason for verdict in read(pytester.path / "report").verdicts)


@pytest.fixture
def asked(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Callable[..., RunSettings]:
    """`asked(*arguments, ini="", **environment)`: the settings that a session makes of them."""

    def ask(*arguments: str, ini: str = "", **environment: str) -> RunSettings:
        (pytester.path / "pytest.ini").write_text(f"[pytest]\n{ini}\n", encoding="utf-8")
        return settings_of(pytester.parseconfig(*PLUGIN, *arguments), environment)

    return ask


def test_the_command_line_comes_before_the_environment_and_that_before_the_ini(asked) -> None:
    ini = "s2s_endpoint = ws://ini/ws\ns2s_limit = 1\ns2s_judge = none"
    assert asked(ini=ini).endpoint == "ws://ini/ws"
    assert asked(ini=ini, S2S_GATE_ENDPOINT="ws://environment/ws").endpoint == "ws://environment/ws"
    told = asked("--endpoint=ws://line/", ini=ini, S2S_GATE_ENDPOINT="ws://environment/ws", S2S_GATE_LIMIT="2")
    assert (told.endpoint, told.target, told.limit, told.judge) == ("ws://line/", "realtime", 2, None)


@pytest.mark.parametrize("option", OPTIONS, ids=lambda option: option.name)
def test_each_option_is_heard_in_all_three_places(asked, option: Option) -> None:
    """Two values that it takes, told in each place, come out alike, and the second is not the first."""
    one, other = {
        "endpoint": ("ws://one/ws", "ws://other/"),
        "target": ("a", "b"),
        "language": ("en", "ko,ja"),
        "limit": ("3", "4"),
        "budget": ("10s", "5m"),
        "tier": ("recorded", "synthetic"),
        "judge": ("none", "whisper-base"),
        "token-env": ("HOME_OF_A", "HOME_OF_B"),
    }.get(option.name, ("/one", "/other"))
    tokens = {"HOME_OF_A": "a", "HOME_OF_B": "b"}

    def settings(value: str, place: str) -> dict[str, object]:
        line = [f"{option.flag}={value}"] if place == "line" else []
        ini = f"{option.key} = {value}" if place == "ini" else ""
        environment = tokens | ({option.variable: value} if place == "environment" else {})
        told = asked(*line, ini=ini, **environment)
        return asdict(replace(told, folder=told.folder if option.name == "report" else Path()))

    for value in (one, other):
        assert settings(value, "line") == settings(value, "environment") == settings(value, "ini")
    assert settings(one, "line") != settings(other, "line")


def test_a_path_is_meant_from_where_it_is_written(asked, pytester: pytest.Pytester) -> None:
    pytester.mkdir("inner")
    os.chdir(pytester.path / "inner")  # pytester goes back by itself
    ini = asked(
        "--rootdir", str(pytester.path), "-c", str(pytester.path / "pytest.ini"), ini="s2s_manifest = a/m.jsonl"
    )
    assert (ini.manifest, ini.audio) == (pytester.path / "a" / "m.jsonl", pytester.path / "a")
    line = asked("--manifest=m.jsonl", "--audio=sound", S2S_GATE_GATES="g.toml")
    assert (line.manifest, line.audio) == (Path("m.jsonl"), Path("sound"))
    assert line.gates == Path("g.toml")


@pytest.mark.parametrize(
    ("arguments", "environment", "ini", "told"),
    [
        (["--limit=0"], {}, "", r"--limit: '0' is not right; give a whole number above 0"),
        ([], {"S2S_GATE_LIMIT": "many"}, "", "S2S_GATE_LIMIT: 'many'"),
        ([], {}, "s2s_tier = real", "s2s_tier in .*pytest.ini: 'real' is not right; choose auto or recorded"),
        (["--target=../up"], {}, "", "--target: '../up' is not right"),
        (["--judge=me"], {}, "", "--judge: 'me' is not right; choose whisper-base or none"),
    ],
)
def test_a_value_that_means_nothing_is_named_with_its_place(asked, arguments, environment, ini, told) -> None:
    with pytest.raises(OptionError, match=told):
        asked(*arguments, ini=ini, **environment)


def test_what_another_plugin_has_taken_is_left_to_it(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        profiler="""
        def pytest_addoption(parser):
            parser.getgroup("profiler").addoption("--profile", action="store_true", help="profiles")
        """
    )
    pytester.syspathinsert()
    config = pytester.parseconfig("-p", "profiler", *PLUGIN, "--profile", "--s2s-profile=l4")
    assert (config.option.profile, settings_of(config, {}).profile) == (True, "l4")


def test_help_and_markers_teach(pytester: pytest.Pytester) -> None:
    shown = pytester.runpytest_inprocess(*PLUGIN, "--help").stdout.str()
    for text in ("pytest -m latency --endpoint ws://", "S2S_GATE_ENDPOINT", "s2s_endpoint", "--manifest=FILE"):
        assert text in shown
    pytester.runpytest_inprocess(*PLUGIN, "--markers").stdout.fnmatch_lines(
        ["@pytest.mark.clipping: whether the reply is safe*only when asked for: pytest -m clipping --endpoint ws://*"]
    )
