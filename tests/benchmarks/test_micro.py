"""What the micro-benchmarks call slower, and that a slowed function turns the command red."""

from __future__ import annotations

import json
from pathlib import Path

import click
import pytest

from benchmarks.micro import command
from benchmarks.micro.comparing import ALARMS, FACTOR, Comparison, compare, load, ratios, save

BENCHMARK = """
from pathlib import Path
from benchmarks.micro.conftest import measured

def test_count(measured):
    size = int(Path({size!r}).read_text())
    assert measured(lambda: sum(range(size)))
"""


@pytest.mark.parametrize(
    ("ratio", "accepted", "verdict"),
    [
        (1.0, 1.0, "as accepted"),
        (FACTOR * 0.99, 1.0, "as accepted"),
        (FACTOR * 1.01, 1.0, "slower"),
        (2.0, 1.0, "slower"),
        (0.5, 1.0, "faster"),
        (1.0, None, "not accepted yet"),
        (None, 1.0, "not run"),
    ],
)
def test_each_verdict(ratio: float | None, accepted: float | None, verdict: str) -> None:
    found = Comparison("a", ratio, accepted)
    assert found.verdict == verdict
    assert (found.verdict in ALARMS) == (verdict not in ("as accepted", "faster"))


@pytest.mark.parametrize(("all_of_them", "one", "slower"), [(1.0, 1.7, True), (1.2, 1.9, False), (1.2, 2.0, True)])
def test_what_most_take_longer_is_the_machines(all_of_them: float, one: float, slower: bool) -> None:
    accepted = dict.fromkeys("abcdefghijkl", 1.0)
    found = dict.fromkeys(accepted, all_of_them) | {"a": one}
    assert [path.name for path in compare(found, accepted) if path.verdict == "slower"] == (["a"] if slower else [])


def test_everything_twice_as_slow_is_not_the_machines() -> None:
    accepted = dict.fromkeys("abcdefghijkl", 1.0)
    assert {path.verdict for path in compare(dict.fromkeys(accepted, 2.1), accepted)} == {"slower"}


def test_a_ratio_is_of_the_fastest_round_and_the_loop_around_it(tmp_path: Path) -> None:
    timings = tmp_path / "timings.json"
    one = {"name": "test_a[en]", "stats": {"min": 0.006, "mean": 9.0}, "extra_info": {"calibration_s": 0.012}}
    timings.write_text(json.dumps({"benchmarks": [one]}), encoding="utf-8")
    assert ratios(timings) == {"a[en]": 0.5}


def test_what_is_accepted_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "accepted.json"
    assert load(path) == {}
    save({"b": 0.123456, "a": 2.0}, path)
    assert list(load(path).items()) == [("a", 2.0), ("b", 0.123)]


def test_what_looks_slower_is_measured_again_and_the_fastest_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    answers = iter([{"noisy[en]": 3.0, "slow": 4.0}, {"noisy[en]": 1.1, "slow": 3.5}])

    def measure(folder: Path, only: str) -> dict[str, float]:
        asked.append(only)
        return next(answers)

    monkeypatch.setattr(command, "measure", measure)
    accepted = {"noisy[en]": 1.0, "slow": 1.0, "steady": 1.0}
    found = command.settled(Path(), {"noisy[en]": 5.0, "slow": 3.0, "steady": 1.0}, accepted)
    assert asked == ["noisy or slow", "noisy or slow"]
    assert {one.name: (one.ratio, one.verdict) for one in found} == {
        "noisy[en]": (1.1, "as accepted"),
        "slow": (3.0, "slower"),
        "steady": (1.0, "as accepted"),
    }


def test_a_slowed_function_turns_it_red(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Through the command itself; ten times as slow, so that no noise hides it."""
    size, folder = tmp_path / "size", tmp_path / "slowed"
    folder.mkdir()
    (folder / "test_slowed.py").write_text(BENCHMARK.format(size=str(size)), encoding="utf-8")
    monkeypatch.setattr(command, "BENCHMARKS", folder)
    monkeypatch.setattr(command, "ACCEPTED", folder / "accepted.json")

    def exit_code(*arguments: str) -> int:
        with pytest.raises(SystemExit) as left:
            command.micro.main([*arguments], standalone_mode=False)
        assert isinstance(left.value.code, int)
        return left.value.code

    size.write_text("50000", encoding="utf-8")
    assert exit_code() == 1  # nothing is accepted yet
    assert exit_code("--accept") == 0
    size.write_text("500000", encoding="utf-8")
    assert exit_code() == 1
    size.write_text("50000", encoding="utf-8")
    assert exit_code() == 0


def test_a_benchmark_that_fails_is_no_result(tmp_path: Path) -> None:
    (tmp_path / "test_broken.py").write_text("def test_broken(): assert False", encoding="utf-8")
    with pytest.raises(click.ClickException, match="could not be run"):
        command.measure(tmp_path)


def test_what_is_accepted_is_what_there_is() -> None:
    accepted = load(command.ACCEPTED)
    assert len(accepted) > 30
    assert all(one.verdict == "as accepted" for one in compare(accepted, accepted))
