"""Pauses that grow, differ, and end."""

from __future__ import annotations

from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.backoff import LONGEST_S, Backoff


def test_pauses_double_up_to_the_longest() -> None:
    backoff = Backoff(1_000, lambda: 1.0)
    assert [backoff.next_pause_s() for _ in range(8)] == [0.5, 1, 2, 4, 8, 16, LONGEST_S, LONGEST_S]


def test_half_of_each_pause_is_left_to_chance() -> None:
    backoff = Backoff(1_000, lambda: 0.0)
    assert [backoff.next_pause_s() for _ in range(3)] == [0.25, 0.5, 1]


def test_what_the_server_asks_for_is_the_least() -> None:
    assert Backoff(1_000, lambda: 0.0).next_pause_s(5.0) == 5.0
    assert Backoff(1_000, lambda: 0.8).next_pause_s(5.0) == pytest.approx(6.0)
    assert Backoff(1_000, lambda: 1.0).next_pause_s(0.1) == 0.5


@given(patience_s=st.floats(0, 300), chances=st.lists(st.floats(0, 0.999), min_size=1), asked_s=st.floats(0, 60))
def test_all_pauses_together_are_within_patience(patience_s: float, chances: list[float], asked_s: float) -> None:
    drawn = count()
    backoff = Backoff(patience_s, lambda: chances[next(drawn) % len(chances)])
    waited_s = 0.0
    for attempt in range(2_000):
        if (pause_s := backoff.next_pause_s(asked_s if attempt % 2 else None)) is None:
            break
        waited_s += pause_s
    assert pause_s is None
    assert waited_s <= patience_s + 1e-6
