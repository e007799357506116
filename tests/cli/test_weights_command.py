"""`s2s weights` on a folder of one's own, where no network is asked."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from cli.weights import weights
from pipeline.weights import CATALOGUE


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Named by S2S_WEIGHTS; it has one file of the right size and the wrong bytes."""
    file = CATALOGUE["silero-vad"].files[0]
    (tmp_path / file.path).parent.mkdir()
    (tmp_path / file.path).write_bytes(bytes(file.size))
    monkeypatch.setenv("S2S_WEIGHTS", str(tmp_path))
    return tmp_path


def test_list_shows_every_file_and_its_state(folder: Path) -> None:
    result = CliRunner().invoke(weights, ["list"])
    assert result.exit_code == 0
    lines = result.output.splitlines()
    assert lines[0] == f"{folder}:"
    assert len(lines) == 1 + sum(len(model.files) for model in CATALOGUE.values())
    assert lines[1].startswith("silero-vad/silero_vad.onnx")
    assert lines[1].endswith("present")
    assert all(line.endswith("missing") for line in lines[2:])


def test_verify_tells_each_fault_and_fails(folder: Path) -> None:
    result = CliRunner().invoke(weights, ["verify", "silero-vad", "smart-turn"])
    assert result.exit_code == 1
    assert "WRONG  silero-vad/silero_vad.onnx: its sha256 is" in result.output
    assert "WRONG  smart-turn/smart-turn-v3.2-cpu.onnx: it is missing" in result.output
    assert f"2 of the files in {folder} are not usable" in result.output


@pytest.mark.usefixtures("folder")
def test_pull_fails_with_the_reason_and_no_traceback() -> None:
    result = CliRunner().invoke(weights, ["pull", "smart-turn"])
    assert result.exit_code == 1
    assert "Error: S2S_WEIGHTS names" in result.output
    assert "smart-turn-v3.2-cpu.onnx in it is not usable: it is missing" in result.output
