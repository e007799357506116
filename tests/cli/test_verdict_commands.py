"""`s2s compare`, `s2s baseline` and `s2s history` from the outside."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from cli import main
from cli.history import spark
from harness import history
from harness.history import HistoryLine
from harness.measures.latency import Latency
from harness.results import FILE_NAME, RunHeader, TurnRow, VerdictRow, to_line

HEADER = RunHeader("realtime", "embedded", "synthetic", "2026-11-22T02:00:00+00:00", versions={"latency": "1"})
CLIPS = ("en-01", "en-02", "fr-01", "fr-02", "ja-01", "ja-02")
LINE = HistoryLine("run", "2026-11-01T02:00:00+00:00", "5e71e5", "a series", "ttfa_s p50", "all", "pass", 12, 2.0, 0.6)


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments)


def write(name: str, ratio: float = 1.0, header: RunHeader = HEADER) -> str:
    """A run of six clips, ten times each."""
    rng = np.random.default_rng(len(name))
    rows = []
    for clip in CLIPS * 10:
        wait_s = 0.6 * ratio * math.exp(rng.normal(0, 0.02))
        latency = Latency(wait_s, wait_s, None, (), (), 0.0, 0.0)
        rows.append(TurnRow(clip, clip[:2], "synthetic", "", "", "answered", latency))
    kept = VerdictRow("ttfa_s p50", "latency", "all", "pass", 60, "kept", 2.0, 0.6)
    Path(name).mkdir()
    Path(name, FILE_NAME).write_text("".join(to_line(row) + "\n" for row in (header, *rows, kept)))
    return name


@pytest.mark.parametrize(
    ("ratio", "code", "said"),
    [
        (1.0, 0, "verdict: pass"),
        (1.15, 1, "longer until the first sound"),
        (1.055, 2, "may be worse by more than 5.0 %"),
    ],
)
def test_two_runs_are_compared(ratio: float, code: int, said: str) -> None:
    result = invoke("compare", write("before"), write("after", ratio), "--tier", "synthetic", "--report", "comparison")
    assert result.exit_code == code, result.output
    assert said in " ".join(result.output.split())
    assert "Not played in one run" in result.output
    assert Path("comparison", "comparison.jsonl").is_file()


def test_runs_of_two_machines_are_refused_and_forced() -> None:
    before, after = write("before"), write("after", header=replace(HEADER, machine={"cores": "64"}))
    refused = invoke("compare", before, after, "--tier", "synthetic")
    assert refused.exit_code == 3, refused.output
    assert "another machine" in refused.output
    forced = invoke("compare", before, after, "--tier", "synthetic", "--force")
    assert forced.exit_code == 0, forced.output
    assert "Compared all the same: another machine" in " ".join(forced.output.split())


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("nonsense", "ws://127.0.0.1:1"), 3, "is no side of a comparison"),
        (("ws://127.0.0.1:1", "ws://127.0.0.1:1", "--language", "de"), 3, "unknown language 'de'"),
        (("ws://127.0.0.1:1", "ws://127.0.0.1:1", "--budget", "soon"), 2, "like 90s, 10m or 1.5h"),
        (("ws://127.0.0.1:1",), 2, "Missing argument 'B'"),
    ],
)
def test_what_cannot_be_compared_is_said(arguments: tuple[str, ...], code: int, said: str) -> None:
    result = invoke("compare", *arguments, "--tier", "synthetic")
    assert result.exit_code == code, result.output
    assert said in result.output


def test_two_servers_that_are_not_there_are_no_pass() -> None:
    result = invoke("compare", "ws://127.0.0.1:1", "ws://127.0.0.1:1", "--tier", "synthetic", "--report", "comparison")
    assert result.exit_code == 1, result.output
    assert "B was lost" in result.output


def test_a_baseline_is_accepted_and_shown() -> None:
    assert "no baseline in" in invoke("baseline", "show").output
    accepted = invoke("baseline", "accept", write("monday"), write("tuesday"))
    assert accepted.exit_code == 0, accepted.output
    assert "accepted: 120 turns" in accepted.output
    shown = invoke("baseline", "show").output
    assert "of monday, tuesday" in shown
    assert "ja: first audio p50 0.6" in shown
    (file,) = Path("reports", "baseline").iterdir()
    assert invoke("compare", str(file), write("wednesday"), "--tier", "synthetic").exit_code == 0


def test_what_is_no_baseline_is_said() -> None:
    Path("empty").mkdir()
    result = invoke("baseline", "accept", "empty")
    assert result.exit_code == 1
    assert "is this the folder of a run" in result.output


def test_a_gate_without_a_baseline_to_compare_with_does_not_begin() -> None:
    arguments = ["--endpoint", "ws://127.0.0.1:1", "--tier", "synthetic", "--judge", "none"]
    result = invoke("gate", *arguments, "--baseline")
    assert result.exit_code == 3, result.output
    assert "s2s baseline accept" in result.output
    assert invoke("gate", *arguments, "--baseline", "missing.json").exit_code == 3


def test_a_gate_adds_to_the_history() -> None:
    invoke("gate", "--endpoint", "ws://127.0.0.1:1", "--tier", "synthetic", "--judge", "none", "--language", "en")
    lines = history.load(history.FILE).lines
    assert {line.verdict for line in lines if line.gate == "no_answers"} == {"fail"}
    result = invoke("history")
    assert result.exit_code == 1
    assert "limit broken" in result.output


def remember(*values: float) -> None:
    history.append(
        [
            replace(LINE, run=str(n), started=f"2026-11-{n + 1:02}T02:00:00+00:00", value=value, calibration_ms=50.0)
            for n, value in enumerate(values)
        ]
    )


@pytest.mark.parametrize(
    ("last", "code", "state"),
    [((0.6,), 0, "steady"), ((0.9,), 0, "one night off"), ((0.9, 0.9), 1, "changed")],
)
def test_the_history_is_shown_and_alarms(last: tuple[float, ...], code: int, state: str) -> None:
    remember(*[0.6, 0.61, 0.6, 0.59, 0.6, 0.6, 0.61], *last)
    result = invoke("history")
    assert result.exit_code == code, result.output
    assert state in result.output
    assert "a series" in result.output
    assert "calibration loop 50 ms" in result.output
    assert ("changed on 2026-11-08: 0.6 to 0.9" in result.output) == (state == "changed")


def test_other_series_are_shown_when_asked_for() -> None:
    remember(0.6)
    history.append([replace(LINE, series="0therone", label="another", started="2026-12-01T00:00:00+00:00")])
    assert "a series" not in invoke("history").output
    assert "1 other series" in invoke("history").output
    assert "a series" in invoke("history", "--all-series").output
    assert invoke("history", "--language", "ko").exit_code == 1


def test_no_history_is_said() -> None:
    result = invoke("history")
    assert result.exit_code == 0
    assert "no runs in reports/history.jsonl yet" in result.output


def test_a_trend_is_drawn() -> None:
    assert spark([0.5, None, 1.0, 0.75]) == "▁×█▅"
    assert spark([0.5, 0.5]) == "▁▁"
    assert spark([]) == ""


@pytest.mark.parametrize("command", ["gate", "compare", "baseline", "history"])
def test_help_teaches_with_examples(command: str) -> None:
    result = invoke(command, "--help")
    assert result.exit_code == 0
    assert "Examples:" in result.output
