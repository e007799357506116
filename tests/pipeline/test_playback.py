"""What a caller has heard of a reply by now."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.languages import Language
from pipeline.playback import Clause, Playback


class Now:
    def __init__(self) -> None:
        self.s = 100.0

    def __call__(self) -> float:
        return self.s


def test_what_was_sent_is_played_from_when_it_came() -> None:
    now = Now()
    playback = Playback(Language.EN, now)
    assert playback.heard() == ""
    playback.begin(Clause("Hello there.", 2.5))
    assert playback.sent(1.0) == 100.0
    assert playback.sent(0.5) == 101.0
    now.s = 100.25
    assert (playback.played_s, playback.ahead_s) == (0.25, 1.25)
    now.s = 105.0
    assert (playback.played_s, playback.ahead_s) == (1.5, 0.0)
    assert playback.sent(1.0) == 105.0


def test_of_a_clause_in_the_middle_the_words_that_fit_are_heard() -> None:
    now = Now()
    playback = Playback(Language.EN, now)
    playback.begin(Clause("One two three. ", 1.0))
    playback.sent(1.0)
    playback.begin(Clause("Four five six seven.", 2.0))
    playback.sent(2.0)
    now.s = 102.0
    assert playback.heard() == "One two three. Four five"


def test_a_clause_of_which_little_was_sent_was_not_heard_to_its_end() -> None:
    now = Now()
    playback = Playback(Language.EN, now)
    playback.begin(Clause("One two three four.", 2.0))
    playback.sent(1.0)
    now.s = 110.0
    assert playback.heard() == "One two"


def test_scripts_without_spaces_are_cut_between_characters() -> None:
    now = Now()
    playback = Playback(Language.JA, now)
    playback.begin(Clause("こんにちは。", 1.0))
    playback.sent(1.0)
    now.s += 0.5
    assert playback.heard() == "こんに"


def test_what_was_taken_back_was_never_sent() -> None:
    now = Now()
    playback = Playback(Language.EN, now)
    playback.begin(Clause("One. ", 1.0))
    playback.sent(1.0)
    playback.begin(Clause("Two.", 1.0))
    playback.sent(1.0)
    playback.take_back(1.0, 1)
    now.s = 110.0
    assert playback.text == "One. "
    assert playback.heard() == "One."
    assert playback.played_s == pytest.approx(1.0)


@given(st.lists(st.tuples(st.text("ab ", min_size=1, max_size=12), st.floats(0.01, 2.0)), max_size=6), st.floats(0, 10))
def test_what_is_heard_is_a_beginning_of_what_was_sent(clauses: list[tuple[str, float]], after_s: float) -> None:
    now = Now()
    playback = Playback(Language.EN, now)
    for text, length_s in clauses:
        playback.begin(Clause(text, length_s))
        playback.sent(length_s)
    now.s += after_s
    assert playback.text.startswith(playback.heard())
