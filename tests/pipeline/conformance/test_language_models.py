"""What every language model must do."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

import pytest

from pipeline.languages import TRAITS, Language
from pipeline.lm.base import CutOff, LanguageModelError, Message, Piece, Tool, Toolbox, ToolCall, Usage
from pipeline.stopping import Stop, Stopped
from tests.pipeline.conformance.engines import THINKING, Thinking, opened

QUESTION = [Message("system", "Be brief."), Message("user", "Tell me of the rain in Spain, and tell me all of it.")]
SPOKEN = {
    Language.EN: "What is the weather like?",
    Language.FR: "Quel temps fait-il à Paris ?",
    Language.ES: "¿Qué tiempo hace mañana?",
    Language.ZH: "今天天气怎么样？",
    Language.JA: "今日の天気はどうですか。",
    Language.KO: "오늘 날씨 어때요?",
}


@pytest.fixture(scope="module", params=THINKING)
def thinking(request: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Thinking]:
    yield from opened(request, tmp_path_factory)


def answer(thinking: Thinking, messages: list[Message], most: int = 24, toolbox: Toolbox | None = None) -> list[Piece]:
    return list(thinking.engine.reply(messages, max_tokens=most, toolbox=toolbox or Toolbox(), stop=Stop()))


def text(pieces: list[Piece]) -> str:
    return "".join(piece for piece in pieces if isinstance(piece, str))


_ORDER: list[type] = [str, ToolCall, CutOff, Usage]


def test_text_comes_first_and_the_figures_last(thinking: Thinking) -> None:
    pieces = answer(thinking, QUESTION)
    kinds = [_ORDER.index(type(piece)) for piece in pieces]
    assert kinds == sorted(kinds)
    assert all(piece for piece in pieces if isinstance(piece, str))
    assert len([piece for piece in pieces if isinstance(piece, Usage | CutOff)]) <= 2


def test_an_answer_comes_in_pieces_and_keeps_to_its_length(thinking: Thinking) -> None:
    pieces = answer(thinking, QUESTION, most=12)
    assert text(pieces)
    if thinking.limited:
        assert 3 <= sum(isinstance(piece, str) for piece in pieces) <= 12
        assert CutOff() in pieces


def test_the_same_question_gets_the_same_answer(thinking: Thinking) -> None:
    assert text(answer(thinking, QUESTION)) == text(answer(thinking, QUESTION))


@pytest.mark.parametrize("language", Language)
def test_every_language_is_taken_and_counted(thinking: Thinking, language: Language) -> None:
    messages = [Message("system", TRAITS[language].instructions), Message("user", SPOKEN[language])]
    assert all(isinstance(piece, str | CutOff | Usage) for piece in answer(thinking, messages, most=6))
    assert 0 < thinking.engine.count_tokens(SPOKEN[language]) <= 4 * len(SPOKEN[language])


def test_a_prompt_read_ahead_changes_nothing(thinking: Thinking) -> None:
    plain = text(answer(thinking, QUESTION))
    thinking.engine.prepare([QUESTION[0], Message("user", "Tell me of the rain")], stop=Stop())
    assert text(answer(thinking, QUESTION)) == plain


@pytest.mark.parametrize("language", Language)
def test_who_can_tell_finds_a_probability_of_an_end_in_every_language(thinking: Thinking, language: Language) -> None:
    ends = thinking.engine.sentence_ends(SPOKEN[language], stop=Stop())
    assert (ends is not None) == thinking.engine.tells_ends
    assert ends is None or 0.0 <= ends <= 1.0


@pytest.mark.parametrize("nothing", ["", " ", "?!…", "\n"])
def test_of_nothing_nobody_can_tell(thinking: Thinking, nothing: str) -> None:
    assert thinking.engine.sentence_ends(nothing, stop=Stop()) is None


def test_a_question_about_a_sentence_changes_no_answer(thinking: Thinking) -> None:
    plain = text(answer(thinking, QUESTION))
    asked = thinking.engine.sentence_ends("Tell me of the rain", stop=Stop())
    assert text(answer(thinking, QUESTION)) == plain
    with ThreadPoolExecutor(5) as pool:
        several = list(pool.map(lambda _: thinking.engine.sentence_ends("Tell me of the rain", stop=Stop()), range(5)))
    assert several == pytest.approx([asked] * 5, rel=0.01) if asked is not None else several == [None] * 5


def test_nobody_is_told_of_a_sentence_that_does_not_matter_any_more(thinking: Thinking) -> None:
    stop = Stop()
    stop.tell()
    if thinking.engine.tells_ends:
        with pytest.raises(Stopped):
            thinking.engine.sentence_ends("Tell me of the rain", stop=stop)


def test_a_second_turn_is_answered_as_if_it_were_the_first(thinking: Thinking) -> None:
    first = text(answer(thinking, QUESTION))
    second = [*QUESTION, Message("assistant", first), Message("user", "And then?")]
    after = text(answer(thinking, second))
    answer(thinking, [Message("user", "Something else, of another conversation.")])
    assert text(answer(thinking, second)) == after


def test_a_history_that_ends_with_the_assistant_is_gone_on_with(thinking: Thinking) -> None:
    pieces = answer(thinking, [*QUESTION, Message("assistant", "It rains.")], most=8)
    assert all(isinstance(piece, str | CutOff | Usage) for piece in pieces)


def test_several_at_once_are_answered_as_each_alone(thinking: Thinking) -> None:
    questions = [[Message("user", f"Count the rain in Spain {'again ' * number}please.")] for number in range(5)]
    alone = [text(answer(thinking, question)) for question in questions]
    with ThreadPoolExecutor(5) as pool:
        together = list(pool.map(lambda question: text(answer(thinking, question)), questions))
    assert together == alone if thinking.rounds_alike else all(together)


def test_the_result_of_a_call_is_read(thinking: Thinking) -> None:
    messages = [
        Message("user", "What is the weather in Paris?"),
        Message("assistant", "", calls=(ToolCall("c0", "weather", '{"city": "Paris"}'),)),
        Message("assistant", "", calls=(ToolCall("c1", "weather", "no JSON"),)),
        Message("tool", "sunny", call_id="c0"),
        Message("tool", "rain", call_id="c1"),
    ]
    toolbox = Toolbox((Tool("weather", "The weather of a city.", {"type": "object", "properties": {}}),))
    assert answer(thinking, messages, most=8, toolbox=toolbox)


def test_a_prompt_that_does_not_fit_is_an_error_that_says_so(thinking: Thinking) -> None:
    if thinking.limited:
        with pytest.raises(LanguageModelError, match="context"):
            answer(thinking, [Message("user", "word " * 2000)])
        assert text(answer(thinking, QUESTION))


def test_nothing_is_written_for_nobody(thinking: Thinking) -> None:
    stop = Stop()
    stop.tell()
    if thinking.limited:  # the echo has nothing to stop
        with pytest.raises(Stopped):
            list(thinking.engine.reply(QUESTION, max_tokens=8, stop=stop))


def test_a_closed_answer_is_written_no_further(thinking: Thinking) -> None:
    with closing(thinking.engine.reply(QUESTION, max_tokens=400, stop=Stop())) as pieces:  # type: ignore[type-var]  # a generator, of every engine
        next(pieces)
    if thinking.written is not None:
        # The step under way, and what was written before the first piece was fetched; then the batch is idle.
        answer(thinking, QUESTION, most=1)
        settled = thinking.written()
        answer(thinking, QUESTION, most=1)
        assert thinking.written() == settled
    assert text(answer(thinking, QUESTION, most=4))


def test_a_stop_ends_the_wait_for_a_piece(thinking: Thinking) -> None:
    if not thinking.limited:
        pytest.skip("the echo is not waited for")
    stop = Stop()
    pieces = thinking.engine.reply(QUESTION, max_tokens=400, stop=stop)
    next(iter(pieces))
    # From another thread, as a conversation does, while this one waits for pieces.
    telling = threading.Thread(target=stop.tell)
    telling.start()
    with pytest.raises(Stopped):
        for _ in pieces:
            telling.join()
            assert stop.told
