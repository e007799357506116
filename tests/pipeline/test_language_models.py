"""The echo, and SmolLM2 through llama.cpp."""

from __future__ import annotations

from contextlib import closing

import pytest

from pipeline.lm.base import CutOff, Message
from pipeline.lm.echo import Echo
from pipeline.lm.llama import LanguageModelError, Llama
from pipeline.weights import WeightStore


def test_the_echo_repeats_the_last_thing_said_whole() -> None:
    messages = [
        Message("system", "Be brief."),
        Message("user", "first"),
        Message("assistant", "first"),
        Message("user", "欢迎大家。"),
    ]
    assert list(Echo().reply(messages, max_tokens=1)) == ["欢迎大家。"]


def test_the_echo_of_nothing_is_nothing() -> None:
    assert list(Echo().reply([Message("system", "Be brief.")], max_tokens=1)) == []


@pytest.fixture(scope="module")
def llama(weights: WeightStore) -> Llama:
    file = weights.path("smollm2") / "SmolLM2-135M-Instruct.Q4_1.gguf"
    return Llama(file, conversations=2, context_tokens=512)


@pytest.mark.models
def test_the_same_question_gets_the_same_answer(llama: Llama) -> None:
    question = [Message("user", "What is the capital of France? Answer in one word.")]
    first = "".join(llama.reply(question, max_tokens=24))
    assert first.strip()
    assert "".join(llama.reply(question, max_tokens=24)) == first


@pytest.mark.models
def test_a_closed_reply_stops_the_model(llama: Llama) -> None:
    with closing(llama.reply([Message("user", "Count to one thousand.")], max_tokens=400)) as pieces:
        next(pieces)
    assert len(list(llama.reply([Message("user", "Hello")], max_tokens=3))) <= 3 + len([CutOff()])


@pytest.mark.models
def test_a_prompt_that_does_not_fit_is_an_error_that_says_so(llama: Llama) -> None:
    with pytest.raises(LanguageModelError, match="context"):
        list(llama.reply([Message("user", "word " * 2000)], max_tokens=3))
