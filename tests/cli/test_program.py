"""The program as a process: what `s2s` does, and `python -m cli`, by which our own processes start one another."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

from cli import COMMANDS

PROJECT = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]


def test_this_python_runs_it_by_its_own_name() -> None:
    asked = subprocess.run([sys.executable, "-m", "cli", "--help"], capture_output=True, text=True, check=True)
    assert asked.stdout.startswith("Usage: s2s [OPTIONS] COMMAND")
    for command in COMMANDS:
        assert f"\n  {command} " in asked.stdout


def test_it_tells_its_version_and_refuses_what_it_does_not_know() -> None:
    version = subprocess.run([sys.executable, "-m", "cli", "--version"], capture_output=True, text=True, check=True)
    assert version.stdout.strip().endswith(metadata.version(PROJECT["name"]))
    wrong = subprocess.run([sys.executable, "-m", "cli", "sing"], capture_output=True, text=True, check=False)
    assert wrong.returncode == 2
    assert "No such command 'sing'" in wrong.stderr
