"""Several processes at one store of weights, some of which are killed."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import pipeline
from tests.pipeline.tiny_weights import left_in

# A process that pulls, stops in mid-file with a word on standard output, and goes on at a line of standard input.
HALTING = """
import hashlib, sys
from contextlib import contextmanager
from pathlib import Path
from pipeline.weights import Model, WeightFile, WeightStore

class Halting:
    service = "halting"
    def __str__(self): return "a halting source"
    def stream(self, work, show):
        yield b"first half, "
        print("halfway", flush=True)
        sys.stdin.readline()
        yield b"second half"

class Spoken:
    def say(self, line): print(line, flush=True)
    def show(self, label, done, total): pass

@contextmanager
def spoken(): yield Spoken()

content = b"first half, second half"
file = WeightFile("tiny/model.bin", len(content), hashlib.sha256(content).hexdigest(), (Halting(),))
catalogue = {"tiny": Model("MIT", "nobody", (file,))}
folder = WeightStore(Path(sys.argv[1]), catalogue=catalogue, progress=spoken).path("tiny")
print("has", (folder / "model.bin").read_text(), flush=True)
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "weights"


@pytest.fixture
def start(root: Path) -> Iterator[Callable[[], subprocess.Popen[str]]]:
    """Starts a process that pulls into `root` and halts; whatever is left of them is killed."""
    started: list[subprocess.Popen[str]] = []

    def halting() -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", HALTING, str(root)],
            cwd=Path(pipeline.__file__).parents[1],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield halting
    for process in started:
        process.kill()
        process.communicate()


def heard(process: subprocess.Popen[str], word: str) -> str:
    """The next line of its output with `word` in it; its end is a failure."""
    assert process.stdout is not None
    line = next((line for line in process.stdout if word in line), None)
    assert line is not None, f"it ended without saying {word!r}"
    return line


def test_two_processes_pull_one_model_once(root: Path, start: Callable[[], subprocess.Popen[str]]) -> None:
    first = start()
    heard(first, "halfway")
    second = start()
    heard(second, "another process is pulling")
    assert not (root / "tiny" / "model.bin").exists()
    first.communicate("\n")
    rest = second.communicate()[0]
    assert "has first half, second half" in rest
    assert "halfway" not in rest
    assert (first.returncode, second.returncode) == (0, 0)


def test_a_process_killed_in_mid_file_leaves_nothing_that_could_be_loaded(
    root: Path, start: Callable[[], subprocess.Popen[str]]
) -> None:
    first = start()
    heard(first, "halfway")
    first.kill()
    first.wait()
    assert not (root / "tiny" / "model.bin").exists()
    second = start()
    heard(second, "halfway")
    second.communicate("\n")
    assert second.returncode == 0
    assert left_in(root) == {"tiny/model.bin"}
