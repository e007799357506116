"""A fuzzer says why it ended, whatever ends it."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import fuzz.__main__ as fuzzer

DONE = "#9 DONE cov: 12\nstat::number_of_executed_units: 1234\n"


@pytest.mark.parametrize(
    ("returncode", "lasted_s", "why"),
    [
        (0, 30.2, ""),
        (0, 12.0, "stopped, and said that all was well"),
        (77, 12.0, "failed"),
        (70, 61.0, "hung"),
        (71, 12.0, "took too much memory"),
        (72, 12.0, "interrupted"),
        (1, 2.0, "ended with exit code 1"),
        (-signal.SIGKILL, 12.0, "killed by SIGKILL"),
        (-signal.SIGSEGV, 40.0, "killed by SIGSEGV"),
    ],
)
def test_each_end_has_its_name(returncode: int, lasted_s: float, why: str) -> None:
    assert fuzzer.ending(returncode, lasted_s, 30) == why


@pytest.fixture
def fuzz(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """`fuzz(target=program, ...)`: the command, with small programs in place of the fuzzers of these targets."""
    monkeypatch.setenv("COLUMNS", "200")
    run = subprocess.run

    def command(**programs: str) -> Result:
        def stand_in(asked: list[str], **settings: object) -> object:
            return run([sys.executable, "-c", programs[asked[3]]], **settings)  # type: ignore[call-overload]  # as it was asked for

        monkeypatch.setattr(subprocess, "run", stand_in)
        return CliRunner().invoke(fuzzer.main, [*programs, "--seconds", "1", "--work", str(tmp_path)])

    return command


def test_one_that_is_killed_is_told_with_its_last_words_and_the_others_are_run(fuzz: Callable[..., Result]) -> None:
    told = fuzz(
        query="import os; print('the last words', flush=True); os.kill(os.getpid(), 9)",
        tokens=f"print({DONE!r})",
    )
    assert told.exit_code == 1
    assert "killed by SIGKILL after" in told.stdout
    assert "the last words" in told.stderr
    assert "1,234" in told.stdout
    assert "its time was up" in told.stdout


def test_all_that_ran_to_their_end_are_no_failure(fuzz: Callable[..., Result]) -> None:
    told = fuzz(query=f"print({DONE!r})", tokens=f"print({DONE!r})")
    assert (told.exit_code, told.stdout.count("its time was up")) == (0, 2)


@pytest.mark.parametrize("again", [True, False])
def test_an_input_that_fails_is_named_and_tried_again(fuzz: Callable[..., Result], tmp_path: Path, again: bool) -> None:
    found = tmp_path / "failed" / "query" / "timeout-1"
    told = fuzz(
        query=f"""
import pathlib, sys
found = pathlib.Path({str(found)!r})
if found.exists():
    sys.exit({70 * again})
found.write_bytes(b"slow")
print({DONE!r})
sys.exit(70)
"""
    )
    assert told.exit_code == 1
    assert "hung" in told.stdout
    assert "timeout-1" in told.stdout.replace("\n", "")
    assert ("does not when it is given the same input again" in told.stderr) is not again
