"""What a conversation remembers, within its budget."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pipeline.history import History
from pipeline.lm.base import Message


def words(text: str) -> int:
    return len(text.split())


def test_the_oldest_is_forgotten_first() -> None:
    history = History()
    for text in ("one one one", "two two", "three"):
        history.add(Message("user", text))
    assert [message.text for message in history.prompt("be brief", 5, words)] == ["be brief", "two two", "three"]
    assert len(history) == 2


@given(st.lists(st.integers(1, 50), min_size=1, max_size=20), st.integers(1, 100))
def test_a_prompt_fits_its_budget_and_always_holds_the_newest(sizes: list[int], budget: int) -> None:
    history = History()
    for size in sizes:
        history.add(Message("user", "word " * size))
    prompt = history.prompt("brief", budget, words)
    assert prompt[0] == Message("system", "brief")
    assert prompt[-1].text == "word " * sizes[-1]
    assert sum(words(message.text) for message in prompt) <= max(budget, sizes[-1] + 1)
