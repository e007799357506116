"""Word and character errors: what was heard, what was spoken, and what the judge itself gets wrong."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

VERSION = 1

Unit = Literal["words", "characters"]
Operation = Literal["equal", "substitute", "delete", "insert"]


@dataclass(frozen=True, slots=True)
class Pair:
    """One step of an alignment; `reference` is empty for an insertion, `hypothesis` for a deletion.

    A run of equal units is one step.
    """

    operation: Operation
    reference: str
    hypothesis: str


@dataclass(frozen=True, slots=True)
class Errors:
    """Counts of one comparison. They are summed before they are divided, never averaged."""

    hits: int
    substitutions: int
    deletions: int
    insertions: int

    @property
    def errors(self) -> int:
        return self.substitutions + self.deletions + self.insertions

    @property
    def units(self) -> int:
        """Units of the reference."""
        return self.hits + self.substitutions + self.deletions


@dataclass(frozen=True, slots=True)
class Words:
    """One text against another.

    Attributes:
        unit: what is counted; the language decides.
        counts: in that unit, the one that is gated.
        word_counts: for Korean, which is gated in characters, the same in words; otherwise None.
        reference: as given, before normalisation.
        hypothesis: as given, before normalisation.
        alignment: of the normalised texts.
    """

    unit: Unit
    counts: Errors
    word_counts: Errors | None
    reference: str
    hypothesis: str
    alignment: tuple[Pair, ...]
