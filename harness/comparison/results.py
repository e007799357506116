"""The file of a comparison, `comparison.jsonl`: a header, a line a pair, a look and a change, and how it ended.

It is written line by line, so that a comparison which is stopped leaves what it had. Each side that was played has a
folder of its own beside it, `a` or `b`, with the results and the report of that side as `s2s gate` writes them.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Literal, Self, TypeAlias

from harness import jsonlines
from harness.comparison import decide
from harness.comparison.decide import Change
from harness.comparison.samples import Pair
from harness.results import RunHeader, Verdict
from harness.sequential import Look

SCHEMA = 1
FILE_NAME = "comparison.jsonl"

VALID_SHARE = 0.8
"""With fewer pairs than this share of those tried, the harness was too busy to compare anything."""

Reason = Literal["decided", "budget", "played out", "lost a", "lost b", "stopped"]


class ComparisonError(ValueError):
    """A comparison that cannot be made or read: says why, and what to do."""


@dataclass(frozen=True, slots=True)
class ComparisonHeader:
    """What was compared with what.

    Attributes:
        a: how side A, the one to measure against, was named: an address, a command or a folder.
        b: the same of side B.
        header_a: of the run on side A.
        header_b: of the run on side B.
        interleaved: both were played in one run, A B B A; otherwise whatever changed between the two runs, the machine
            too, is in the figures.
        forced: what stands against comparing the two, and was overruled.
    """

    a: str
    b: str
    header_a: RunHeader
    header_b: RunHeader
    started: str
    interleaved: bool
    forced: tuple[str, ...] = ()
    schema: int = SCHEMA


@dataclass(frozen=True, slots=True)
class Ending:
    """How a comparison came to its end: after how many tries at a pair, and why."""

    tries: int
    reason: Reason


@dataclass(frozen=True, slots=True)
class Comparison:
    """A comparison, read."""

    header: ComparisonHeader
    pairs: tuple[Pair, ...]
    looks: tuple[Look, ...]
    changes: tuple[Change, ...]
    ending: Ending | None

    @property
    def exit_code(self) -> int:
        """0 nothing is worse, 1 something is or B was lost, 2 that cannot be said, 3 the harness was too busy."""
        ending = self.ending or Ending(len(self.pairs), "stopped")
        if len(self.pairs) < VALID_SHARE * ending.tries or not ending.tries:
            return 3
        if ending.reason == "lost b":
            return 1
        decided = decide.exit_code(self.changes)
        return 2 if decided == 0 and ending.reason in ("lost a", "stopped") else decided

    @property
    def verdict(self) -> Verdict:
        """The exit code in a word."""
        verdicts: tuple[Verdict, ...] = ("pass", "fail", "inconclusive", "invalid")
        return verdicts[self.exit_code]


Line: TypeAlias = ComparisonHeader | Pair | Look | Change | Ending

_KINDS: dict[str, type[Line]] = {
    "comparison": ComparisonHeader,
    "pair": Pair,
    "look": Look,
    "change": Change,
    "ending": Ending,
}


class ComparisonWriter:
    """Writes a comparison line by line."""

    def __init__(self, folder: Path, header: ComparisonHeader) -> None:
        """Create `folder` where needed, and replace an older comparison in it.

        Raises:
            OSError: it cannot be written.
        """
        folder.mkdir(parents=True, exist_ok=True)
        self._file = (folder / FILE_NAME).open("w", encoding="utf-8", errors="backslashreplace")
        self.add(header)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self._file.close()

    def add(self, line: Line) -> None:
        kind = next(name for name, record in _KINDS.items() if type(line) is record)
        self._file.write(f'{{"kind":{json.dumps(kind)},{jsonlines.encode(line)[1:]}\n')
        self._file.flush()


def read(folder: Path) -> Comparison:
    """Read a comparison's folder.

    Raises:
        ComparisonError: there is none, or a line of it is not one of a comparison.
    """
    path = folder / FILE_NAME
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ComparisonError(f"{path} cannot be read: {error}; is this the folder of a comparison?") from None
    lines: list[Line] = []
    for number, line in enumerate(text.removesuffix("\n").split("\n") if text else (), 1):
        try:
            lines.append(_from_line(line))
        except jsonlines.LineError as error:
            raise ComparisonError(f"{path}, line {number}: {error}") from None
        if isinstance(lines[-1], ComparisonHeader) != (number == 1):
            raise ComparisonError(f"{path}, line {number}: the header is the first line, and only that")
    if not lines or not isinstance(lines[0], ComparisonHeader):
        raise ComparisonError(f"{path} is empty: the comparison was stopped before it began; compare again")
    return Comparison(
        lines[0],
        tuple(line for line in lines if isinstance(line, Pair)),
        tuple(line for line in lines if isinstance(line, Look)),
        tuple(line for line in lines if isinstance(line, Change)),
        next((line for line in lines if isinstance(line, Ending)), None),
    )


def _from_line(line: str) -> Line:
    value = jsonlines.parse(line)
    kind = value.pop("kind", None)
    if not isinstance(kind, str) or kind not in _KINDS:
        raise jsonlines.LineError(f"the field 'kind' is one of {', '.join(_KINDS)}, not {kind!r:.60}")
    if kind == "comparison" and (schema := value.get("schema")) != SCHEMA:
        raise jsonlines.LineError(f"it is written in schema {schema!r:.20} and this version reads schema {SCHEMA}")
    return jsonlines.decode(_KINDS[kind], value)
