"""Conversations in a batch, with a scripted network, step by step."""

from __future__ import annotations

import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.lm.base import LanguageModelError
from pipeline.lm.batching import Batch
from pipeline.stopping import Stop, Stopped
from tests.pipeline.scripted_network import Arithmetic, Chanting, Ending, ask, expected, finish


def test_an_answer_is_what_the_network_writes_alone() -> None:
    batch = Batch(Arithmetic())
    request = ask(batch, [3, 1, 4])
    finish(batch)
    assert list(request.tokens()) == expected([3, 1, 4], 5)
    assert request.cut


def test_the_end_is_no_token_of_the_answer() -> None:
    batch = Batch(Ending())
    request = ask(batch, [3, 1, 4], most=50)
    finish(batch)
    assert list(request.tokens()) == expected([3, 1, 4], 3)
    assert not request.cut


def test_who_comes_later_joins_between_two_steps() -> None:
    network = Arithmetic()
    batch = Batch(network)
    first = ask(batch, [1, 2], most=6)
    batch.step()
    batch.step()
    second = ask(batch, [1, 3], most=6)
    finish(batch)
    assert list(first.tokens()) == expected([1, 2], 6)
    assert list(second.tokens()) == expected([1, 3], 6)
    assert network.steps.count(2) >= 2


def test_who_finds_no_slot_waits_for_one() -> None:
    network = Arithmetic(conversations=1)
    batch = Batch(network)
    requests = [ask(batch, [number, 5], most=3) for number in range(3)]
    finish(batch)
    assert [list(request.tokens()) for request in requests] == [expected([number, 5], 3) for number in range(3)]


def test_a_second_turn_reads_only_what_is_new() -> None:
    network = Arithmetic()
    batch = Batch(network)
    prompt = [5] * 40
    first = ask(batch, prompt, most=4)
    finish(batch)
    answered = list(first.tokens())
    other = ask(batch, [9] * 30, most=2)
    finish(batch)
    network.reads.clear()
    second = [*prompt, *answered, 8, 8]
    request = ask(batch, second, most=3)
    finish(batch)
    # The last token that was written had not been read yet.
    assert network.reads == [(0, 3, 43)]
    assert list(request.tokens()) == expected(second, 3)
    assert list(other.tokens()) == expected([9] * 30, 2)


def test_another_conversation_does_not_take_the_slot_of_one_that_may_go_on() -> None:
    network = Arithmetic(conversations=3)
    batch = Batch(network)
    instructions = [6] * 20
    for own in ([1] * 60, [2] * 60):
        request = ask(batch, [*instructions, *own], most=2)
        finish(batch)
        list(request.tokens())
    network.reads.clear()
    ask(batch, [*instructions, *[3] * 60], most=2)
    finish(batch)
    # Into a slot that was free, with the instructions that all have in common copied there; in front, because the
    # other two say nothing now.
    assert network.reads == [(0, 60, 20)]
    assert {held[20] for held in network.held} == {1, 2, 3}


def test_who_writes_sits_in_front_with_all_that_was_read() -> None:
    network = Arithmetic(conversations=4)
    batch = Batch(network)
    prompts = [[number] * 40 for number in range(1, 5)]
    first = [ask(batch, prompt, most=3) for prompt in prompts]
    finish(batch)
    answers = [list(request.tokens()) for request in first]
    network.reads.clear()
    third = [*prompts[2], *answers[2], 9]
    request = ask(batch, third, most=3)
    finish(batch)
    assert network.reads == [(0, 2, 42)]
    assert list(request.tokens()) == expected(third, 3)
    first_again = [*prompts[0], *answers[0], 9]
    both = [ask(batch, third, most=3), ask(batch, first_again, most=3)]
    finish(batch)
    assert [slot for slot, _, _ in network.reads] == [0, 0, 1]
    assert [list(request.tokens()) for request in both] == [expected(third, 3), expected(first_again, 3)]


def test_a_conversation_that_cannot_be_moved_fails_and_the_next_is_answered(caplog: pytest.LogCaptureFixture) -> None:
    class Stuck(Arithmetic):
        def swap(self, one: int, other: int, length: int) -> None:
            raise RuntimeError("out of memory")

    batch = Batch(Stuck())
    for prompt in ([1] * 20, [2] * 20):
        ask(batch, prompt, most=2)
    finish(batch)
    request = ask(batch, [2] * 30, most=2)
    finish(batch)
    with pytest.raises(LanguageModelError, match="out of memory"):
        list(request.tokens())
    again = ask(batch, [2] * 30, most=2)
    finish(batch)
    assert list(again.tokens()) == expected([2] * 30, 2)
    assert "the language model failed" in caplog.text


def test_a_long_prompt_is_read_in_parts_while_others_write() -> None:
    network = Arithmetic()
    batch = Batch(network)
    writing = ask(batch, [1], most=20)
    batch.step()
    reading = ask(batch, [2] * 700, most=2)
    for _ in range(3):
        before = len(network.steps)
        batch.step()
        assert len(network.steps) == before + 1
    finish(batch)
    assert [tokens for _, tokens, _ in network.reads[1:]] == [256, 256, 188]
    assert list(reading.tokens()) == expected([2] * 700, 2)
    assert list(writing.tokens()) == expected([1], 20)


def test_to_read_ahead_writes_nothing() -> None:
    network = Arithmetic()
    batch = Batch(network)
    request = ask(batch, [1, 2, 3], most=0)
    finish(batch)
    assert list(request.tokens()) == []
    assert not request.cut
    assert network.steps == []


def test_after_a_stop_there_is_no_step_more() -> None:
    network = Arithmetic()
    batch = Batch(network)
    stop = Stop()
    request = ask(batch, [1, 2], most=100, stop=stop)
    for _ in range(3):
        batch.step()
    stop.tell()
    steps = len(network.steps)
    assert not batch.step()
    assert len(network.steps) == steps
    with pytest.raises(Stopped):
        list(request.tokens())


def test_a_closed_answer_leaves_its_slot_and_what_was_read_stays() -> None:
    network = Arithmetic()
    batch = Batch(network)
    request = ask(batch, [4] * 50, most=100)
    batch.step()
    tokens = request.tokens()
    assert next(tokens) == expected([4] * 50, 1)[0]
    tokens.close()  # type: ignore[attr-defined]  # it is a generator
    assert not batch.step()
    network.reads.clear()
    again = ask(batch, [4] * 50, most=2)
    finish(batch)
    assert network.reads == [(0, 1, 49)]
    assert list(again.tokens()) == expected([4] * 50, 2)


def test_one_that_is_stopped_while_it_waits_is_never_begun() -> None:
    network = Arithmetic(conversations=1)
    batch = Batch(network)
    first, stop = ask(batch, [1], most=3), Stop()
    ask(batch, [2], most=3, stop=stop)
    batch.step()
    stop.tell()
    finish(batch)
    assert list(first.tokens()) == expected([1], 3)
    assert len(network.reads) == 1


def test_what_does_not_fit_is_refused_and_what_just_fits_is_cut() -> None:
    batch = Batch(Arithmetic(context_tokens=10))
    with pytest.raises(LanguageModelError, match=r"the prompt has 10 tokens and the context 10.*history_tokens"):
        ask(batch, [1] * 10)
    request = ask(batch, [1] * 8, most=50)
    finish(batch)
    assert list(request.tokens()) == expected([1] * 8, 2)
    assert request.cut


def test_a_network_that_fails_fails_the_answers_of_that_step_only(caplog: pytest.LogCaptureFixture) -> None:
    network = Arithmetic()
    batch = Batch(network)
    request = ask(batch, [1, 2], most=10)
    batch.step()
    network.fails = True
    batch.step()
    network.fails = False
    with pytest.raises(LanguageModelError, match="out of memory"):
        list(request.tokens())
    again = ask(batch, [1, 2], most=3)
    finish(batch)
    assert list(again.tokens()) == expected([1, 2], 3)
    assert "the language model failed" in caplog.text


def test_its_own_thread_serves_many() -> None:
    batch = Batch(Arithmetic(conversations=3))
    threading.Thread(target=batch.run, daemon=True).start()
    requests = [ask(batch, [number], most=20) for number in range(9)]
    assert [list(request.tokens()) for request in requests] == [expected([number], 20) for number in range(9)]


def test_what_is_drafted_right_is_written_in_one_step_with_what_follows_it() -> None:
    plain, drafting = Chanting(), Chanting(most_drafted=4)
    for network in (plain, drafting):
        batch = Batch(network)
        request = ask(batch, [1, 2, 3, 4, 5, 1], most=20)
        finish(batch)
        assert list(request.tokens()) == [2, 3, 4, 5, 1] * 4
        assert request.cut
    assert len(plain.steps) == 19
    assert len(drafting.steps) == 4


def test_beside_others_nothing_is_drafted() -> None:
    network = Chanting(most_drafted=4)
    batch = Batch(network)
    requests = [ask(batch, [1, 2, 3, 4, 5, number], most=60) for number in (1, 2)]
    finish(batch)
    assert [list(request.tokens()) for request in requests] == [[2, 3, 4, 5, 1] * 12, [3, 4, 5, 1, 2] * 12]
    assert network.steps.count(2) >= 40


def test_an_end_that_was_drafted_is_an_end() -> None:
    network = Chanting(most_drafted=4)
    batch = Batch(network)
    request = batch.submit([1, 2, 3, 4, 5, 1], 20, frozenset({4}), Stop())
    finish(batch)
    assert list(request.tokens()) == [2, 3]
    assert not request.cut
    assert network.steps == [1]


@given(
    st.integers(0, 5),
    st.lists(
        st.tuples(
            st.lists(st.integers(1, 3), min_size=1, max_size=40), st.integers(0, 6), st.integers(0, 4), st.booleans()
        ),
        max_size=12,
    ),
)
@settings(max_examples=150, deadline=None)
def test_whoever_comes_and_goes_everybody_gets_their_own_answer(
    most_drafted: int, calls: list[tuple[list[int], int, int, bool]]
) -> None:
    network = Arithmetic(conversations=3, context_tokens=60, most_drafted=most_drafted)
    batch = Batch(network)
    asked = []
    for prompt, most, steps, leaves in calls:
        stop = Stop()
        asked.append((prompt, most, leaves, ask(batch, prompt, most, stop)))
        for _ in range(steps):
            batch.step()
        if leaves:
            stop.tell()
    finish(batch)
    for prompt, most, leaves, request in asked:
        if not leaves:
            assert list(request.tokens()) == expected(prompt, most)
