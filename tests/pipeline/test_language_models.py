"""The echo, and SmolLM2 through llama.cpp."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from contextlib import closing
from typing import Any

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.lm.base import NO_TOOLS, CutOff, LanguageModelError, Message, Tool, Toolbox, ToolCall
from pipeline.lm.chat_completions import chat_messages, chat_request
from pipeline.lm.echo import Echo
from pipeline.lm.llama import Llama, probability_of_end
from pipeline.lm.sentence_ends import MOST_READ, SENTENCE_ENDS, without_end
from pipeline.lm.slots import Slots
from pipeline.stopping import Stop
from pipeline.weights import WeightStore


def test_the_echo_repeats_the_last_thing_said_whole() -> None:
    messages = [
        Message("system", "Be brief."),
        Message("user", "first"),
        Message("assistant", "first"),
        Message("user", "欢迎大家。"),
    ]
    assert list(Echo().reply(messages, max_tokens=1, stop=Stop())) == ["欢迎大家。"]


def test_the_echo_of_nothing_is_nothing() -> None:
    assert list(Echo().reply([Message("system", "Be brief.")], max_tokens=1, stop=Stop())) == []


@pytest.fixture(scope="module")
def llama(weights: WeightStore) -> Llama:
    file = weights.path("smollm2") / "SmolLM2-135M-Instruct.Q4_1.gguf"
    return Llama(file, conversations=2, context_tokens=512)


@pytest.mark.models
def test_the_same_question_gets_the_same_answer(llama: Llama) -> None:
    question = [Message("user", "What is the capital of France? Answer in one word.")]
    first = "".join(llama.reply(question, max_tokens=24, stop=Stop()))
    assert first.strip()
    assert "".join(llama.reply(question, max_tokens=24, stop=Stop())) == first


@pytest.mark.models
def test_a_closed_reply_stops_the_model(llama: Llama) -> None:
    with closing(llama.reply([Message("user", "Count to one thousand.")], max_tokens=400, stop=Stop())) as pieces:
        next(pieces)
    assert len(list(llama.reply([Message("user", "Hello")], max_tokens=3, stop=Stop()))) <= 3 + len([CutOff()])


@pytest.mark.models
def test_a_prompt_that_does_not_fit_is_an_error_that_says_so(llama: Llama) -> None:
    with pytest.raises(LanguageModelError, match="context"):
        list(llama.reply([Message("user", "word " * 2000)], max_tokens=3, stop=Stop()))


@pytest.mark.models
def test_conversations_that_are_over_take_no_memory(llama: Llama) -> None:
    """Kept copies of their prompts took 6 MB each, and more the longer they were."""

    def hold(number: int) -> None:
        said = " ".join(f"n{number}w{word}" for word in range(40))
        list(llama.reply([Message("user", said)], max_tokens=1, stop=Stop()))

    for number in range(4):
        hold(number)
    before = psutil.Process().memory_info().rss
    for number in range(4, 12):
        hold(number)
    assert psutil.Process().memory_info().rss - before < 16e6


@pytest.mark.models
def test_what_breaks_off_is_less_likely_a_sentence(llama: Llama) -> None:
    def ends(text: str) -> float:
        found = llama.sentence_ends(text, stop=Stop())
        assert found is not None
        return found

    assert ends("What is the weather like today?") > 10 * ends("What is the weather like in the?")
    assert ends("I would like to go home") == pytest.approx(ends("I would like to go home ..."), rel=0.01)


@pytest.mark.models
def test_a_question_about_a_sentence_evicts_no_conversation(llama: Llama) -> None:
    """What a slot holds is not read again: told by the number of tokens that were."""

    def read(text: str) -> int:
        messages = [Message("user", f"{text} is my name. " * 20)]
        with llama._slots.taken(messages) as slot:
            request = chat_request(messages, 1, NO_TOOLS) | {"id_slot": slot}
            with closing(llama._chunks(llama._server.handle_chat_completions, request, Stop())) as chunks:
                return next(int(chunk["timings"]["prompt_n"]) for chunk in chunks if "timings" in chunk)

    conversations = ["Ann", "Bob"]  # as many as there is room for
    assert min(map(read, ["Eve", *conversations])) > 40
    for text in ["There is a house", "And a tree", "In the garden that we had", "Where"]:
        llama.sentence_ends(text, stop=Stop())
    assert max(map(read, conversations)) == 1


@pytest.mark.models
def test_a_question_about_a_sentence_is_answered_while_all_conversations_are(llama: Llama) -> None:
    def writing() -> int:
        return sum(thread.name == "llama" for thread in threading.enumerate())

    count = [Message("user", "Count to one thousand.")]
    llama.sentence_ends("There was a tree", stop=Stop())  # as in the pause before
    with (
        closing(llama.reply(count, max_tokens=400, stop=Stop())) as one,
        closing(llama.reply(count, max_tokens=400, stop=Stop())) as another,
    ):
        next(one), next(another)
        assert llama.sentence_ends("There is a house", stop=Stop()) is not None
        assert writing() == 2


@given(st.one_of(st.text(), st.text(st.sampled_from("ab cd .?!。語"), min_size=60, max_size=300)))
def test_of_a_text_its_last_words_are_read_without_what_is_behind_them(text: str) -> None:
    said = without_end(text)
    assert said in text
    assert len(said) <= MOST_READ
    assert said == said.strip()
    assert not said.endswith(SENTENCE_ENDS)
    assert bool(said) == any(map(str.isalnum, text))
    assert without_end(said) == said


@given(st.lists(st.sampled_from(["rain", "in", "Spain"]), min_size=10, max_size=60))
def test_a_long_text_is_read_from_a_whole_word_on(words: list[str]) -> None:
    said = without_end(" ".join(words) + ".").split()
    assert said == words[len(words) - len(said) :]
    assert len(said) == len(words) or len(" ".join(said)) > MOST_READ - 7


def test_a_text_that_is_cut_between_two_words_loses_neither() -> None:
    last = f"{'a' * 15} {'b' * (MOST_READ - 16)}"
    assert without_end(f"some {last}.") == last


@given(st.lists(st.tuples(st.text(max_size=3) | st.just("."), st.floats(max_value=0.0, allow_nan=False)), max_size=40))
def test_a_probability_comes_of_whatever_tokens_are_likely(tokens: list[tuple[str, float]]) -> None:
    assert 0.0 <= probability_of_end([{"token": token, "logprob": logprob} for token, logprob in tokens]) <= 1.0


def test_every_mark_that_ends_a_sentence_counts_and_nothing_else() -> None:
    likeliest = [(".", 0.25), (' ?"', 0.125), ("。", 0.0625), (",", 0.25), (" and", 0.25), ("a.", 0.0625)]
    told = [{"token": token, "logprob": math.log(probability)} for token, probability in likeliest]
    assert probability_of_end(told) == pytest.approx(0.4375)


def test_a_chat_has_the_calls_of_an_answer_in_its_message() -> None:
    calls = [ToolCall(f"c{number}", "look", "{}") for number in range(2)]
    messages = [
        Message("user", "how is it"),
        Message("assistant", "Let me see."),
        *(Message("assistant", "", calls=(call,)) for call in calls),
        Message("tool", "rain", call_id="c0"),
    ]
    told = [
        {"id": f"c{number}", "type": "function", "function": {"name": "look", "arguments": "{}"}} for number in (0, 1)
    ]
    assert chat_messages(messages) == [
        {"role": "user", "content": "how is it"},
        {"role": "assistant", "content": "Let me see.", "tool_calls": told},
        {"role": "tool", "content": "rain", "tool_call_id": "c0"},
    ]


class ChunkedServer:
    """In place of llama.cpp's: streams the chunks that it is given, and keeps what it was asked."""

    def __init__(self, *deltas: dict[str, Any], finish: str) -> None:
        self.request: dict[str, Any] = {}
        self._chunks = [{"choices": [{"delta": delta, "finish_reason": None}]} for delta in deltas]
        self._chunks.append({"choices": [{"delta": {}, "finish_reason": finish}]})

    def handle_chat_completions(self, request: dict[str, Any], on_chunk: Callable[[dict[str, Any]], bool]) -> None:
        self.request = request
        for chunk in self._chunks:
            if on_chunk(chunk):
                return

    handle_completions = handle_chat_completions


def llama_on(server: ChunkedServer) -> Llama:
    llama = object.__new__(Llama)
    llama._server = server
    llama._slots = Slots([1])
    return llama


def test_a_call_that_comes_in_pieces_is_put_together() -> None:
    server = ChunkedServer(
        {"role": "assistant", "content": None},
        {"content": "Let me see."},
        {"tool_calls": [{"index": 0, "id": "c0", "type": "function", "function": {"name": "look", "arguments": ""}}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": '{"where": '}}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": '"outside"}'}}]},
        {
            "tool_calls": [
                {"index": 1, "id": "c1", "type": "function", "function": {"name": "listen", "arguments": "{}"}}
            ]
        },
        finish="tool_calls",
    )
    toolbox = Toolbox((Tool("look", "Looks.", {"type": "object"}),), required=True)
    pieces = list(llama_on(server).reply([Message("user", "hi")], max_tokens=9, toolbox=toolbox, stop=Stop()))
    assert pieces == ["Let me see.", ToolCall("c0", "look", '{"where": "outside"}'), ToolCall("c1", "listen", "{}")]
    function = {"name": "look", "description": "Looks.", "parameters": {"type": "object"}}
    assert server.request["tools"] == [{"type": "function", "function": function}]
    assert server.request["tool_choice"] == "required"


def test_a_question_about_a_sentence_has_a_slot_of_its_own_and_writes_nothing() -> None:
    server = ChunkedServer(finish="length")
    server._chunks = [
        {"choices": [{"logprobs": {"content": [{"top_logprobs": [{"token": ".", "logprob": math.log(0.25)}]}]}}]},
        {"choices": [{"logprobs": None, "finish_reason": "length"}]},
    ]
    llama = llama_on(server)
    assert llama.sentence_ends("It rains. In Spain?", stop=Stop()) == pytest.approx(0.25)
    asked = {name: server.request[name] for name in ("prompt", "n_predict", "id_slot")}
    assert asked == {"prompt": "It rains. In Spain", "n_predict": 1, "id_slot": 0}
    server.request = {}
    assert llama.sentence_ends("...", stop=Stop()) is None
    assert server.request == {}


def test_what_goes_wrong_with_a_question_is_said() -> None:
    server = ChunkedServer(finish="length")
    server._chunks = [{"error": {"message": "the request exceeds the available context size"}}]
    with pytest.raises(LanguageModelError, match="context size"):
        llama_on(server).sentence_ends("It rains", stop=Stop())


def test_an_answer_that_was_cut_off_says_so() -> None:
    server = ChunkedServer({"content": "The"}, finish="length")
    assert list(llama_on(server).reply([Message("user", "hi")], max_tokens=1, stop=Stop())) == ["The", CutOff()]
    assert "tools" not in server.request


@pytest.mark.models
def test_after_its_own_words_it_says_more(llama: Llama) -> None:
    said = [Message("user", "Hello."), Message("assistant", "Hello! How can I help you today?")]
    assert "".join(piece for piece in llama.reply(said, max_tokens=8, stop=Stop()) if isinstance(piece, str)).strip()


@pytest.mark.models
def test_it_reads_the_result_of_a_call(llama: Llama) -> None:
    toolbox = Toolbox((Tool("weather", "The weather of a city.", {"type": "object", "properties": {}}),))
    messages = [
        Message("user", "What is the weather in Paris?"),
        Message("assistant", "", calls=(ToolCall("c0", "weather", '{"city": "Paris"}'),)),
        Message("tool", "sunny, 21 degrees", call_id="c0"),
    ]
    answer = "".join(str(piece) for piece in llama.reply(messages, max_tokens=40, toolbox=toolbox, stop=Stop()))
    assert "sunny" in answer
