"""What can be compared: a server that is played, a run or a baseline that is stored."""

from __future__ import annotations

import shlex
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from harness import baseline, results
from harness.comparison.results import ComparisonError
from harness.comparison.samples import Sample
from harness.fixtures import Fixture
from harness.results import RunHeader
from harness.run import Run

SERVE = "serve"


@dataclass(frozen=True, slots=True)
class Server:
    """A server that is to be played.

    Attributes:
        name: as the person named it.
        endpoint: its address; None where it is to be started.
        options: what `s2s serve` is started with, where it is.
    """

    name: str
    endpoint: str | None = None
    options: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Stored:
    """What a run left, or a baseline made of runs."""

    name: str
    header: RunHeader
    samples: tuple[Sample, ...]


class Side(Protocol):
    """One of the two, while they are compared."""

    async def turn(self, fixture: Fixture) -> Sample | None:
        """The next turn of a clip; None where there are no more."""
        ...

    @property
    def is_lost(self) -> bool:
        """Nothing can be had from it any more."""
        ...

    @property
    def is_stored(self) -> bool:
        """It gives what was measured before, and may have no more of a clip."""
        ...


class Played:
    """A side that plays."""

    is_stored = False

    def __init__(self, run: Run) -> None:
        self._run = run

    async def turn(self, fixture: Fixture) -> Sample | None:
        return Sample.of(await self._run.turn(fixture))

    @property
    def is_lost(self) -> bool:
        return self._run.is_lost


class Recalled:
    """A side that gives what was measured before, clip by clip, until it has no more."""

    is_lost = False
    is_stored = True

    def __init__(self, samples: Iterable[Sample]) -> None:
        self._left: dict[str, list[Sample]] = defaultdict(list)
        for sample in samples:
            if sample.outcome != "invalid":
                self._left[sample.fixture_id].append(sample)

    async def turn(self, fixture: Fixture) -> Sample | None:
        left = self._left[fixture.id]
        return left.pop(0) if left else None


def parse_side(text: str) -> Server | Stored:
    """An address, `serve` with options, the folder of a run, or the file of a baseline.

    Raises:
        ComparisonError: it is none of these, or cannot be read.
    """
    if "://" in text:
        return Server(text, endpoint=text)
    path = Path(text)
    if text and (path.is_dir() or path.suffix == baseline.SUFFIX):
        try:
            return _stored(path)
        except (results.ResultsError, baseline.BaselineError) as error:
            raise ComparisonError(str(error)) from None
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise ComparisonError(f"{text!r}: {error}") from None
    if words[:1] == [SERVE]:
        return Server(text, options=tuple(words[1:]))
    raise ComparisonError(
        f"{text!r} is no side of a comparison: give an address (ws://...), 'serve' with its options in quotes, the "
        "folder of a run, or the file of a baseline"
    )


def _stored(path: Path) -> Stored:
    if path.is_dir():
        found = results.read(path)
        return Stored(str(path), found.header, tuple(map(Sample.of, found.turns)))
    accepted = baseline.load(path)
    return Stored(str(path), accepted.header, accepted.samples)
