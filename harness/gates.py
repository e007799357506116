"""Limits and verdicts: what a build must keep, and whether it did."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.results import RunHeader, TurnRow, VerdictRow

DEFAULT_PATH = Path(__file__).with_name("gates.toml")


class GatesError(ValueError):
    """A gates file that cannot be used: names the file, the key, the reason."""


@dataclass(frozen=True, slots=True)
class Gates:
    """The limits of every profile and language."""


def load(path: Path = DEFAULT_PATH) -> Gates:
    """Read a gates file.

    Raises:
        GatesError: it cannot be read, or has a key or a value that means nothing.
    """
    raise NotImplementedError


def decide(gates: Gates, header: RunHeader, rows: Sequence[TurnRow]) -> list[VerdictRow]:
    """A verdict for every limit that applies to this run."""
    raise NotImplementedError


def exit_code(verdicts: Sequence[VerdictRow]) -> int:
    """0 pass, 1 fail, 2 inconclusive, 3 the run itself is invalid."""
    raise NotImplementedError
