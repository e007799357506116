"""What a conversation remembers, within its budget."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pipeline.history import History
from pipeline.lm.base import Message, ToolCall


def words(text: str) -> int:
    return len(text.split())


def test_the_oldest_is_forgotten_first() -> None:
    history = History()
    for text in ("one one one", "two two", "three"):
        history.add(Message("user", text))
    assert [message.text for message in history.prompt("be brief", 5, words)] == ["be brief", "two two", "three"]
    assert [message.text for message in history.prompt("", 50, words)] == ["", "two two", "three"]


def test_what_is_unsaid_comes_last_and_is_not_kept() -> None:
    history = History()
    history.add(Message("user", "one"))
    prompt = history.prompt("be brief", 50, words, unsaid=[Message("user", "two")])
    assert [message.text for message in prompt] == ["be brief", "one", "two"]
    assert [message.text for message in history.prompt("be brief", 50, words)] == ["be brief", "one"]


def test_a_message_without_text_is_not_told() -> None:
    history = History()
    history.add(Message("user", "one"))
    number = history.add(Message("assistant", ""))
    assert [message.text for message in history.prompt("", 50, words)] == ["", "one"]
    history.amend(number, "two")
    assert [message.text for message in history.prompt("", 50, words)] == ["", "one", "two"]


def test_the_version_grows_with_what_changes_and_not_with_what_is_forgotten() -> None:
    history = History()
    one, two = (history.add(Message("user", text)) for text in ("one", "two"))
    added = history.version
    history.prompt("", 1, words)
    assert [message.text for message in history.prompt("", 50, words)] == ["", "two"]
    history.amend(one, "changed")
    history.remove(one)
    history.amend(two, "two")
    assert history.version == added
    history.amend(two, "three")
    history.remove(two)
    assert history.version == added + 2


def test_a_history_that_nobody_asks_for_is_bounded() -> None:
    history = History()
    for _ in range(1000):
        history.add(Message("user", "more"))
    assert len(history.prompt("", 10_000, words)) == 501


@given(st.lists(st.integers(1, 50), min_size=1, max_size=20), st.integers(1, 100))
def test_a_prompt_fits_its_budget_and_always_holds_the_newest(sizes: list[int], budget: int) -> None:
    history = History()
    for size in sizes:
        history.add(Message("user", "word " * size))
    prompt = history.prompt("brief", budget, words)
    assert prompt[0] == Message("system", "brief")
    assert prompt[-1].text == "word " * sizes[-1]
    assert sum(words(message.text) for message in prompt) <= max(budget, sizes[-1] + 1)


def texts(history: History, budget: int = 50) -> list[str]:
    return [message.text for message in history.prompt("", budget, words)[1:]]


def test_a_message_is_put_where_it_belongs() -> None:
    history = History()
    one = history.add(Message("user", "one"))
    history.add(Message("user", "three"))
    history.add(Message("user", "two"), after=one)
    history.add(Message("user", "zero"), after=0)
    assert texts(history) == ["zero", "one", "two", "three"]


def test_what_follows_the_forgotten_comes_first() -> None:
    history = History()
    one = history.add(Message("user", "one one one"))
    history.add(Message("user", "three"))
    assert texts(history, budget=2) == ["three"]
    history.add(Message("user", "two"), after=one)
    assert texts(history) == ["two", "three"]


def test_a_place_that_is_kept_free_changes_no_prompt() -> None:
    history = History()
    version = history.version
    number = history.add(Message("user", ""))
    assert history.version == version
    history.amend(number, "one")
    assert history.version > version


def test_a_result_is_told_with_its_call_or_not_at_all() -> None:
    history = History()
    history.add(Message("assistant", "", calls=(ToolCall("c1", "look up", '{"what": "a word"}'),)))
    history.add(Message("tool", "", call_id="c1"))
    history.add(Message("user", "thanks"))
    assert [message.role for message in history.prompt("", 50, words)] == ["system", "assistant", "tool", "user"]
    assert [message.role for message in history.prompt("", 3, words)] == ["system", "user"]
