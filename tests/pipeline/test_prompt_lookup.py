"""Drafts of what a language model will write next."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pipeline.lm.prompt_lookup import draft

TEXTS = st.lists(st.integers(0, 4), max_size=40)


def test_of_what_was_not_there_before_there_is_no_draft() -> None:
    assert draft([], 4) == []
    assert draft([1], 4) == []
    assert draft([1, 2, 3], 4) == []


def test_a_text_goes_on_as_it_last_did() -> None:
    assert draft([1, 2, 8, 1, 2, 9, 1, 2], 1) == [9]
    assert draft([1, 2, 3, 4, 5, 1, 2, 3], 4) == [4, 5, 1, 2]
    assert draft([7, 7, 7], 4) == [7]


def test_after_more_of_the_same_it_is_likelier() -> None:
    assert draft([1, 2, 3, 8, 9, 3, 5, 1, 2, 3], 1) == [8]
    assert draft([1, 2, 3, 8, 2, 3, 5, 4, 2, 3], 1) == [5]


@given(TEXTS, st.integers(0, 6))
def test_a_draft_was_there_before_right_after_the_last_token(text: list[int], most: int) -> None:
    found = draft(text, most)
    assert len(found) <= most
    if most:
        assert bool(found) == (bool(text) and text[-1] in text[:-1])
    if found:
        wanted = [text[-1], *found]
        assert any(text[at : at + len(wanted)] == wanted for at in range(len(text)))
