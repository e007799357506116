"""How much silence ends a turn, by what was said and how."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pipeline.end_of_turn import log_odds, wait_s
from pipeline.profiles import load_profile

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
