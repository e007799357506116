"""Calls that models write into their answers."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.lm.base import LanguageModelError, Tool, Toolbox
from pipeline.lm.tool_calls import HERMES, LLAMA, CallForm, WrittenCalls, form_of

TOOLBOX = Toolbox((Tool("look", "Looks.", {}), Tool("listen", "Listens.", {})))


def read(form: CallForm, *pieces: str) -> tuple[str, list[tuple[str, str]]]:
    """The text, and the calls."""
    calls = WrittenCalls(form, TOOLBOX)
    told = "".join(calls.push(piece) for piece in pieces)
    left, asked = calls.finish()
    assert len({call.id for call in asked}) == len(asked)
    return told + left, [(call.name, call.arguments) for call in asked]


def test_a_call_between_words() -> None:
    written = 'Let me see.\n<tool_call>\n{"name": "look", "arguments": {"where": "outside"}}\n</tool_call>\nSo.'
    assert read(HERMES, written) == ("Let me see.\n\nSo.", [("look", '{"where": "outside"}')])


def test_two_calls() -> None:
    one = '<tool_call>{"name": "look", "arguments": {}}</tool_call>'
    assert read(HERMES, one, "\n", one.replace("look", "listen")) == ("\n", [("look", "{}"), ("listen", "{}")])


def test_a_call_without_its_end_is_one() -> None:
    assert read(HERMES, '<tool_call>{"name": "look"}') == ("", [("look", "{}")])


def test_a_bare_call_is_the_whole_answer() -> None:
    assert read(LLAMA, ' {"name": "look", ', '"parameters": {"n": 1}}') == ("", [("look", '{"n": 1}')])
    two = '{"name": "look", "parameters": {}}; {"name": "listen", "parameters": {}}'
    assert read(LLAMA, two) == ("", [("look", "{}"), ("listen", "{}")])


def test_a_call_behind_its_tag_may_come_after_words() -> None:
    assert read(LLAMA, 'Well. <|python_tag|>{"name": "look", "parameters": {}}') == ("Well. ", [("look", "{}")])


@pytest.mark.parametrize("text", ["{I mean it}", "{", '{"a": 1} and more'])
def test_a_brace_that_begins_no_call_is_text(text: str) -> None:
    assert read(LLAMA, text) == (text, [])


def test_a_brace_behind_words_is_text() -> None:
    text = 'Say {"name": "look"}'
    assert read(LLAMA, text) == (text, [])


@pytest.mark.parametrize(
    ("written", "why"),
    [
        ("<tool_call>look outside</tool_call>", "no JSON"),
        ('<tool_call>{"name": "shout", "arguments": {}}</tool_call>', r"'shout'; there are listen, look"),
        ("<tool_call>[1]</tool_call>", "None"),
    ],
)
def test_what_is_no_call_that_can_be_made_is_an_error(written: str, why: str) -> None:
    with pytest.raises(LanguageModelError, match=why):
        read(HERMES, written)


@pytest.mark.parametrize("written", ['{"name": "nobody"}', '{"name": "look", "parameters": {"x'])
def test_a_bare_one_is_not_read_aloud_instead(written: str) -> None:
    with pytest.raises(LanguageModelError):
        read(LLAMA, written)


def test_the_form_is_known_by_the_template() -> None:
    assert form_of("{% for tool in tools %}<tool_call>{% endfor %}") is HERMES
    assert form_of('{% if tools %}{"name": function name, "parameters": dictionary}{% endif %}') is LLAMA
    assert form_of("{{ messages }}") is None


_TEXT = st.text(st.sampled_from("ab <>/tol_c{}|."), max_size=40)


@given(st.lists(_TEXT), st.data())
def test_it_does_not_matter_how_an_answer_is_cut(texts: list[str], data: st.DataObject) -> None:
    call = '<tool_call>{"name": "look", "arguments": {"x": "<b>"}}</tool_call>'
    # Of text that is no mark itself, whatever it looks like.
    kept = [text for text in texts if HERMES.opens not in text]
    written = call.join(kept)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(written)), max_size=6)))
    pieces = [written[start:end] for start, end in zip([0, *cuts], [*cuts, len(written)], strict=True)]
    assert read(HERMES, *pieces) == read(HERMES, written)


@given(st.recursive(st.none() | st.integers() | st.text(), lambda values: st.dictionaries(st.text(), values)))
def test_arguments_come_through_whole(value: object) -> None:
    arguments = {"value": value}
    written = json.dumps({"name": "look", "parameters": arguments}, ensure_ascii=False)
    _, ((_, told),) = read(LLAMA, written)
    assert json.loads(told) == arguments
