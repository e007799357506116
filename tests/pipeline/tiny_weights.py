"""A model of one small file, and sources that give of it what a test says."""

from __future__ import annotations

import hashlib
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.weights import Model, WeightFile, WeightStore
from pipeline.weights.progress import Display
from pipeline.weights.receipts import RECEIPTS
from pipeline.weights.sources import Show, Source

CONTENT = bytes(range(256)) * 4_000


@dataclass
class Scripted:
    """A source that gives what the test says, and counts how often it was asked."""

    gives: bytes | Exception = CONTENT
    service: str = "scripted"
    asked: int = 0

    def __str__(self) -> str:
        return f"a source on {self.service}"

    def stream(self, work: Path, show: Show) -> Generator[bytes]:
        self.asked += 1
        if isinstance(self.gives, Exception):
            yield CONTENT[:1000]
            raise self.gives
        for start in range(0, len(self.gives), 100_000):
            show("scripted", start, len(self.gives))
            yield self.gives[start : start + 100_000]


@dataclass
class Log:
    """A display for tests: the lines that were said."""

    lines: list[str] = field(default_factory=list)

    def say(self, line: str) -> None:
        self.lines.append(line)

    def show(self, label: str, done: int, total: int) -> None:
        assert 0 <= done <= total, label

    @contextmanager
    def __call__(self) -> Iterator[Display]:
        yield self


def weight_file(*sources: Source, path: str = "tiny/model.bin", content: bytes = CONTENT) -> WeightFile:
    return WeightFile(path, len(content), hashlib.sha256(content).hexdigest(), sources)


def tiny_store(root: Path, *files: WeightFile, log: Log | None = None) -> WeightStore:
    return WeightStore(root, catalogue={"tiny": Model("MIT", "nobody", files)}, progress=log or Log())


def left_in(root: Path) -> set[str]:
    """Every file under `root` but the store's own notes."""
    return {str(p.relative_to(root)) for p in root.rglob("*") if p.is_file()} - {".lock", RECEIPTS}
