"""What was accepted, and whether a later run is worse."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from harness import baseline, machine
from harness.baseline import BaselineError
from harness.measures.clipping import Clipping
from harness.measures.latency import Latency
from harness.measures.words import Errors, Words
from harness.results import FILE_NAME, RunHeader, TurnRow, VerdictRow, to_line
from harness.sequential import Look

HEADER = RunHeader(
    "realtime",
    "embedded",
    "synthetic",
    "2026-11-22T02:00:00+00:00",
    machine={"system": "Linux x86_64", "cores": "2", "processor": "a fast one", "calibration_ms": "50.0"},
    versions={"latency": "1", "words": "1", "clipping": "1"},
)
KEPT = VerdictRow("ttfa_s p50", "latency", "all", "pass", 24, "kept", 2.0, 0.6)
BROKEN = VerdictRow("ttfa_s p50", "latency", "all", "fail", 24, "broken", 0.1, 0.6)


def turn(clip: int, ttfa_s: float) -> TurnRow:
    return TurnRow(
        fixture_id=f"en_{clip}",
        language="en",
        tier="synthetic",
        speaker="",
        transcript="hello",
        outcome="answered",
        latency=Latency(ttfa_s, ttfa_s, None, (), (), 0.0, 0.0),
        clipping=Clipping((), 1.0, -3.0, -20.0),
        heard=Words("words", Errors(9, 1, 0, 0), None, "", "", ()),
    )


def turns(ratio: float = 1.0, rounds: int = 4, seed: int = 1) -> list[TurnRow]:
    rng = np.random.default_rng(seed)
    return [
        turn(clip, (0.5 + clip / 20) * ratio * math.exp(rng.normal(0, 0.02)))
        for _ in range(rounds)
        for clip in range(12)
    ]


def write(folder: Path, rows: list[TurnRow], header: RunHeader = HEADER, verdict: VerdictRow = KEPT) -> Path:
    folder.mkdir(parents=True)
    (folder / FILE_NAME).write_text("".join(to_line(row) + "\n" for row in (header, *rows, verdict)))
    return folder


@pytest.fixture
def accepted(tmp_path: Path) -> baseline.Baseline:
    runs = [write(tmp_path / f"run {night}", turns(seed=night)) for night in (1, 2)]
    return baseline.load(baseline.accept(runs, tmp_path / "baseline"))


def on(**facts: str) -> RunHeader:
    return replace(HEADER, machine=HEADER.machine | facts)


def test_several_runs_make_one_baseline(accepted: baseline.Baseline, tmp_path: Path) -> None:
    assert (accepted.runs, len(accepted.samples), accepted.calibration_ms) == (("run 1", "run 2"), 96, 50.0)
    (file,) = (tmp_path / "baseline").iterdir()
    assert file.name == f"embedded-realtime-{machine.identity(HEADER)}.json"
    assert file.stat().st_size < 30_000
    assert baseline.find(HEADER, tmp_path / "baseline") == accepted
    assert baseline.find(HEADER, file) == accepted


def test_a_later_one_takes_its_place(accepted: baseline.Baseline, tmp_path: Path) -> None:
    path = baseline.accept([write(tmp_path / "later", turns(1.5))], tmp_path / "baseline")
    assert baseline.load(path).runs == ("later",)
    assert list((tmp_path / "baseline").iterdir()) == [path]


def test_what_broke_its_limits_is_no_yardstick(tmp_path: Path) -> None:
    run = write(tmp_path / "run", turns(), verdict=BROKEN)
    with pytest.raises(BaselineError, match=r"did not keep its limits; --force"):
        baseline.accept([run], tmp_path / "baseline")
    assert not (tmp_path / "baseline").exists()
    assert baseline.accept([run], tmp_path / "baseline", force=True).exists()


def test_runs_that_are_not_alike_make_no_baseline(tmp_path: Path) -> None:
    runs = [write(tmp_path / "one", turns()), write(tmp_path / "two", turns(), replace(HEADER, target="endpoint"))]
    with pytest.raises(BaselineError, match=r"another target \(realtime, not endpoint\)"):
        baseline.accept(runs, tmp_path / "baseline")


@pytest.mark.parametrize(
    ("now", "against"),
    [
        (on(processor="a slow one"), "another machine (a fast one, 2 cores, Linux x86_64, not a slow one"),
        (on(cores="64"), "another machine"),
        (replace(HEADER, profile="l4"), "another profile (embedded, not l4)"),
        (replace(HEADER, versions={"latency": "2", "words": "1", "clipping": "1"}), "another definition of latency"),
        (replace(HEADER, versions={}), "another definition of words (version 1, not unknown)"),
    ],
)
def test_what_should_not_be_compared_is_refused_unless_forced_and_then_said(
    accepted: baseline.Baseline, tmp_path: Path, now: RunHeader, against: str
) -> None:
    (file,) = (tmp_path / "baseline").iterdir()
    with pytest.raises(BaselineError, match="--force compares all the same") as error:
        baseline.find(now, file)
    assert against in str(error.value)
    found = baseline.verdicts(baseline.find(now, file, force=True), now, turns(seed=9))
    assert all(f"although {against}" in row.reason for row in found)


def test_the_same_machine_may_have_another_python_and_another_speed() -> None:
    assert machine.identity(HEADER) == machine.identity(on(python="3.12.1", calibration_ms="70"))


def test_no_baseline_is_said_with_those_that_there_are(accepted: baseline.Baseline, tmp_path: Path) -> None:
    with pytest.raises(
        BaselineError, match=r"no baseline .*embedded-endpoint.*only embedded-realtime.*baseline accept"
    ):
        baseline.find(replace(HEADER, target="endpoint"), tmp_path / "baseline")
    with pytest.raises(BaselineError, match="there is no baseline"):
        baseline.find(HEADER, tmp_path / "nowhere")


@pytest.mark.parametrize("text", ["", "{", "[]", '{"schema":1}', '{"schema":7}'])
def test_a_damaged_baseline_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "some.json"
    path.write_text(text)
    with pytest.raises(BaselineError, match=r"some\.json"):
        baseline.load(path)


@pytest.mark.parametrize(("ratio", "verdict"), [(1.0, "pass"), (1.15, "fail"), (0.85, "pass"), (1.047, "inconclusive")])
def test_a_run_is_held_against_it(accepted: baseline.Baseline, ratio: float, verdict: str) -> None:
    found = {row.gate: row for row in baseline.verdicts(accepted, HEADER, turns(ratio, seed=9))}
    row = found["ttfa_s against the baseline"]
    assert (row.verdict, row.family, row.language, row.n, row.limit) == (verdict, "latency", "all", 48, 0.05)
    assert row.value == pytest.approx(ratio - 1, abs=0.02)
    assert found["heard against the baseline"].verdict == "pass"
    assert found["heard against the baseline"].family == "words"
    assert found["clipping against the baseline"].family == "clipping"


def test_a_machine_that_was_slower_itself_does_not_blame_the_build(accepted: baseline.Baseline) -> None:
    def wait(calibration_ms: str) -> VerdictRow:
        rows = baseline.verdicts(accepted, on(calibration_ms=calibration_ms), turns(1.15, seed=9))
        return next(row for row in rows if row.gate.startswith("ttfa_s"))

    assert wait("51.0").verdict == "fail"
    assert "calibration loop took +2 %" in wait("51.0").reason
    assert wait("60.0").verdict == "inconclusive"
    assert "worse: 15" in wait("60.0").reason
    assert wait("nonsense").verdict == "fail"


def test_other_clips_are_no_evidence(accepted: baseline.Baseline) -> None:
    (row,) = baseline.verdicts(accepted, HEADER, [replace(turn(1, 0.5), fixture_id="ko_1")])
    assert (row.verdict, row.family) == ("inconclusive", "run")


def test_more_turns_are_asked_for_while_it_is_open_and_has_some_left(accepted: baseline.Baseline) -> None:
    few = turns(1.05, rounds=2, seed=9)
    assert baseline.lacks_turns(accepted, few, baseline.verdicts(accepted, HEADER, few))
    many = turns(1.05, rounds=8, seed=9)
    assert not baseline.lacks_turns(accepted, many, baseline.verdicts(accepted, HEADER, many))
    slow = turns(1.2, rounds=2, seed=9)
    cut = [row for row in baseline.verdicts(accepted, HEADER, slow) if row.verdict != "inconclusive"]
    assert not baseline.lacks_turns(accepted, slow, cut)


def test_looks_are_at_so_many_pairs(accepted: baseline.Baseline) -> None:
    rows = [*turns(1.2, rounds=2, seed=9), *turns(0.8, rounds=2, seed=10)]
    once, often = (
        next(row for row in baseline.verdicts(accepted, HEADER, rows, looks) if row.gate.startswith("ttfa_s"))
        for looks in ((), (Look(24, 0.5), Look(48, 1.0)))
    )
    assert once.verdict != "fail"
    assert often.verdict == "fail"


def test_the_cold_start_of_either_run_is_no_wait_to_compare(tmp_path: Path) -> None:
    """Two runs with a slow first turn each, kept as what they were in the baseline's file."""

    def cold(rows: list[TurnRow]) -> list[TurnRow]:
        first, *others = rows
        return [replace(first, latency=replace(first.latency, ttfa_s=9.0, first_byte_s=9.0, cold=True)), *others]

    runs = [write(tmp_path / f"run {night}", cold(turns(seed=night))) for night in (1, 2)]
    accepted = baseline.load(baseline.accept(runs, tmp_path / "baseline"))
    assert [index for index, sample in enumerate(accepted.samples) if sample.cold] == [0, 48]
    found = {row.gate: row for row in baseline.verdicts(accepted, HEADER, cold(turns(seed=9)))}
    row = found["ttfa_s against the baseline"]
    assert (row.verdict, row.n) == ("pass", 47)
    assert row.value == pytest.approx(0, abs=0.02)
    assert found["heard against the baseline"].n == 48
    assert "of 94 answered turns" in "\n".join(baseline.describe(accepted))


def test_it_is_described_for_people(accepted: baseline.Baseline) -> None:
    told = "\n".join(baseline.describe(accepted))
    assert "of run 1, run 2" in told
    assert "a fast one, 2 cores" in told
    assert "en: first audio p50 0.7" in told
