"""How much silence ends a turn, by what was said and how."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from pipeline.end_of_turn import Statements, is_open, is_over, log_odds, wait_s
from pipeline.profiles import load_profile
from pipeline.turns import Silence

SETTINGS = load_profile("embedded").turns
SHORTEST_S = min(silence_s for _, silence_s in (*SETTINGS.waits, *SETTINGS.waits_of_three))
PROBABILITY = st.floats(0.0, 1.0)


PERHAPS = st.one_of(st.none(), PROBABILITY)
TOLD = st.builds(Statements, PERHAPS, st.lists(PROBABILITY, max_size=4), st.booleans(), PERHAPS)


def test_two_sure_witnesses_end_it_soonest() -> None:
    assert wait_s(SETTINGS, Statements(1.0, [1.0])) == SHORTEST_S


def test_nobody_sure_and_it_waits_longest() -> None:
    assert wait_s(SETTINGS, Statements(0.5)) == SETTINGS.longest_wait_s
    assert wait_s(SETTINGS, Statements(None)) == SETTINGS.longest_wait_s


def test_the_words_count_for_more_than_the_voice() -> None:
    assert wait_s(SETTINGS, Statements(0.99, [0.4])) < wait_s(SETTINGS, Statements(0.4, [0.99]))


def test_where_the_words_cannot_tell_the_voice_decides() -> None:
    assert wait_s(SETTINGS, Statements(None, [1.0])) == SHORTEST_S


def test_the_language_model_makes_a_likely_end_sure_or_not() -> None:
    unread = Statements(0.97, [0.9], reads=True)
    unfinished, finished = (wait_s(SETTINGS, replace(unread, sentence=sentence)) for sentence in (0.001, 0.5))
    assert unfinished > finished == SETTINGS.waits_of_three[0][1]


@given(TOLD, PROBABILITY)
def test_more_evidence_for_an_end_never_waits_longer(told: Statements, other: float) -> None:
    waits = wait_s(SETTINGS, told)
    assert waits <= SETTINGS.longest_wait_s
    if told.ends is not None and other >= told.ends:
        assert wait_s(SETTINGS, replace(told, ends=other)) <= waits
    if told.sentence is not None and other >= told.sentence:
        assert wait_s(SETTINGS, replace(told, sentence=other)) <= waits


@given(TOLD, PROBABILITY)
def test_where_nothing_is_open_the_language_model_changes_nothing(told: Statements, sentence: float) -> None:
    if told.reads and not is_open(SETTINGS, told):
        assert wait_s(SETTINGS, replace(told, sentence=sentence)) == wait_s(SETTINGS, replace(told, sentence=0.0))


def test_it_is_open_between_a_sure_end_and_none() -> None:
    told = [Statements(ends, [0.7], reads=True) for ends in (0.15, 0.97, 0.997)]
    assert [is_open(SETTINGS, one) for one in told] == [False, True, False]
    assert not is_open(SETTINGS, Statements(0.97, [0.7]))


@given(PROBABILITY)
def test_no_witness_is_believed_without_a_bound(probability: float) -> None:
    assert abs(log_odds(probability)) < 6


@given(st.floats(0.0, 3.0), st.floats(0.0, 2.0))
def test_a_clear_silence_that_is_long_enough_ends_it(silence_s: float, needed_s: float) -> None:
    assert is_over(SETTINGS, Silence(1.0, silence_s), needed_s) == (silence_s >= needed_s)


def test_nothing_is_decided_while_something_stirs_but_for_long() -> None:
    known_s = SETTINGS.longest_wait_s + SETTINGS.onset_s
    assert not is_over(SETTINGS, Silence(1.0, known_s - 0.01, stirs=True), SHORTEST_S)
    assert is_over(SETTINGS, Silence(1.0, known_s, stirs=True), SHORTEST_S)
