from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.measures.words import Errors, Pair, compare, total


def test_words_are_counted_in_english() -> None:
    found = compare("The quick brown fox.", "the quick red fox jumps", "en")
    assert (found.unit, found.word_counts) == ("words", None)
    assert found.counts == Errors(hits=3, substitutions=1, deletions=0, insertions=1)
    assert (found.counts.errors, found.counts.units) == (2, 4)
    assert found.alignment == (
        Pair("equal", "the quick", "the quick"),
        Pair("substitute", "brown", "red"),
        Pair("equal", "fox", "fox"),
        Pair("insert", "", "jumps"),
    )


@pytest.mark.parametrize(
    ("language", "reference", "hypothesis", "counts"),
    [
        ("zh", "欢迎大家来体验", "歡迎大家 體驗。", Errors(6, 0, 1, 0)),
        ("ja", "ガラスです。", "カラスです", Errors(4, 1, 0, 0)),
        ("ko", "길 한 옆으로", "길한옆으로", Errors(5, 0, 0, 0)),
    ],
)
def test_characters_are_counted_without_spaces(language: str, reference: str, hypothesis: str, counts: Errors) -> None:
    found = compare(reference, hypothesis, language)
    assert (found.unit, found.counts) == ("characters", counts)


def test_korean_shows_its_words_too() -> None:
    found = compare("길 한 옆으로", "길한옆으로", "ko")
    assert found.word_counts == Errors(0, 1, 2, 0)


def test_the_texts_stand_as_they_were_given() -> None:
    found = compare("Hello, World!", "hello world", "en")
    assert (found.reference, found.hypothesis, found.counts.errors) == ("Hello, World!", "hello world", 0)


@pytest.mark.parametrize("language", ["en", "fr", "es", "zh", "ja", "ko", "none"])
def test_words_out_of_silence_are_insertions(language: str) -> None:
    found = compare("", "thanks 你好", language).counts
    assert found.units == 0
    assert found.insertions == found.errors > 0
    assert compare("thanks 你好", "", language).counts.deletions == found.insertions
    assert compare("", "...", language).alignment == ()


@given(st.sampled_from(["en", "zh", "ko"]), st.text(max_size=30), st.text(max_size=30))
def test_the_alignment_accounts_for_both_texts(language: str, reference: str, hypothesis: str) -> None:
    found = compare(reference, hypothesis, language)
    joint = " " if found.unit == "words" else ""
    assert joint.join(pair.reference for pair in found.alignment if pair.reference) == joint.join(
        pair.reference for pair in compare(reference, reference, language).alignment
    )
    assert found.counts.units == compare(reference, reference, language).counts.hits
    assert (found.counts.errors == 0) == all(pair.operation == "equal" for pair in found.alignment)


def test_a_total_sums_before_it_divides() -> None:
    summed = total([Errors(9, 1, 0, 0), Errors(0, 0, 0, 3), Errors(80, 5, 5, 0)])
    assert summed == Errors(89, 6, 5, 3)
    assert (summed.errors, summed.units) == (14, 100)
    assert total([]) == Errors(0, 0, 0, 0)
