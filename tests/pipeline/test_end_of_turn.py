"""How much silence ends a turn, by what was said and how."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pipeline.end_of_turn import is_over, log_odds, wait_s
from pipeline.profiles import load_profile
from pipeline.turns import Silence

SETTINGS = load_profile("embedded").turns
SHORTEST_S = min(silence_s for _, silence_s in SETTINGS.waits)
PROBABILITY = st.floats(0.0, 1.0)


def test_two_sure_witnesses_end_it_soonest() -> None:
    assert wait_s(SETTINGS, 1.0, [1.0]) == SHORTEST_S


def test_nobody_sure_and_it_waits_longest() -> None:
    assert wait_s(SETTINGS, 0.5, []) == SETTINGS.longest_wait_s
    assert wait_s(SETTINGS, None, []) == SETTINGS.longest_wait_s


def test_the_words_count_for_more_than_the_voice() -> None:
    assert wait_s(SETTINGS, 0.99, [0.4]) < wait_s(SETTINGS, 0.4, [0.99])


def test_where_the_words_cannot_tell_the_voice_decides() -> None:
    assert wait_s(SETTINGS, None, [1.0]) == SHORTEST_S


@given(st.one_of(st.none(), PROBABILITY), st.lists(PROBABILITY, max_size=4), PROBABILITY)
def test_more_evidence_for_an_end_never_waits_longer(ends: float | None, voice: list[float], other: float) -> None:
    waits = wait_s(SETTINGS, ends, voice)
    assert waits <= SETTINGS.longest_wait_s
    if ends is not None and other >= ends:
        assert wait_s(SETTINGS, other, voice) <= waits


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
