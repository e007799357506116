"""Word and character errors: what was heard, what was spoken, and what the judge itself gets wrong."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, cast

import jiwer

from harness.normalise import normalise

VERSION = 1

CHARACTER_LANGUAGES = frozenset({"zh", "ja", "ko"})
"""Counted in characters, without spaces; a space there is a habit of the writer."""

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


def compare(reference: str, hypothesis: str, language: str) -> Words:
    """Count the errors of one text against another, both normalised for the language (a code).

    zh, ja and ko are counted in characters without spaces, all others in words.
    """
    texts = normalise(reference, language), normalise(hypothesis, language)
    if language not in CHARACTER_LANGUAGES:
        counts, alignment = _align(jiwer.process_words(*texts), " ")
        return Words("words", counts, None, reference, hypothesis, alignment)
    unspaced = [text.replace(" ", "") for text in texts]
    counts, alignment = _align(jiwer.process_characters(unspaced[0], unspaced[1]), "")
    word_counts = _align(jiwer.process_words(*texts), " ")[0] if language == "ko" else None
    return Words("characters", counts, word_counts, reference, hypothesis, alignment)


def total(counts: Iterable[Errors]) -> Errors:
    """The sum of several comparisons: what a corpus rate is made of."""
    sums = Errors(0, 0, 0, 0)
    for some in counts:
        sums = Errors(
            sums.hits + some.hits,
            sums.substitutions + some.substitutions,
            sums.deletions + some.deletions,
            sums.insertions + some.insertions,
        )
    return sums


def _align(found: jiwer.WordOutput | jiwer.CharacterOutput, joint: str) -> tuple[Errors, tuple[Pair, ...]]:
    """jiwer's answer for one pair of texts, in this module's words."""
    (reference,), (hypothesis,), (steps,) = found.references, found.hypotheses, found.alignments
    pairs = tuple(
        Pair(
            cast("Operation", step.type),
            joint.join(reference[step.ref_start_idx : step.ref_end_idx]),
            joint.join(hypothesis[step.hyp_start_idx : step.hyp_end_idx]),
        )
        for step in steps
    )
    return Errors(found.hits, found.substitutions, found.deletions, found.insertions), pairs
