"""`s2s doctor`: a table for people, JSON for programs, and an exit code."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from cli.doctor import doctor
from pipeline import machine
from pipeline.machine import Machine


@pytest.fixture(autouse=True)
def no_gpu(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(machine.Machine, "look", lambda: Machine(2.0, 9.5, None, "no NVIDIA driver"))
    monkeypatch.setenv("COLUMNS", "200")
    for variable in ("S2S_LM_URL", "S2S_LM_MODEL", "S2S_LM_KEY", "S2S_PROFILE", "S2S_WEIGHTS"):
        monkeypatch.delenv(variable, raising=False)


def test_the_exit_code_is_that_of_the_chosen_profile(monkeypatch: pytest.MonkeyPatch) -> None:
    assert CliRunner().invoke(doctor).exit_code == 0
    assert CliRunner().invoke(doctor, ["--profile", "l4"]).exit_code == 1
    monkeypatch.setenv("S2S_PROFILE", "l4")
    assert CliRunner().invoke(doctor).exit_code == 1


def test_the_table_says_why_not_and_what_it_takes() -> None:
    told = CliRunner().invoke(doctor).output
    assert "This machine: 2 cores, 9.5 GB of memory available, no GPU: no NVIDIA driver" in told
    (row,) = [line for line in told.splitlines() if line.startswith("│ openai-lm")]
    assert "no" in row
    assert "S2S_LM_URL" in row
    assert "gpu: no NVIDIA driver" in told
    assert "s2s weights pull --profile l4" in told


def test_programs_get_the_same_as_json() -> None:
    result = CliRunner().invoke(doctor, ["--json", "--profile", "l4-small"])
    told = json.loads(result.output)
    assert result.exit_code == 1
    assert told["machine"] == {"cores": 2.0, "memory_gb": 9.5, "gpu": None, "no_gpu": "no NVIDIA driver"}
    assert {name: profile["runs"] for name, profile in told["profiles"].items()} == {
        "embedded": True,
        "l4": False,
        "l4-small": False,
        "openai-lm": False,
    }
    kinds = {need["kind"] for need in told["profiles"]["l4-small"]["needs"] if not need["met"]}
    assert "gpu" in kinds


def test_a_profile_of_ones_own_is_looked_at_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mine.toml").write_text('name = "mine"\nbased_on = "embedded"\n[memory]\nmachine_gb = 99.0\ngpu_gb = {}\n')
    result = CliRunner().invoke(doctor, ["--profile", "mine.toml"])
    assert result.exit_code == 1
    assert "memory: 9.5 GB are available, 99.0 are needed" in result.output


def test_an_unknown_profile_is_a_mistake_of_the_caller() -> None:
    result = CliRunner().invoke(doctor, ["--profile", "l5"])
    assert result.exit_code == 2
    assert "choose one of embedded, l4, l4-small, openai-lm" in result.output
