"""Conversations in a batch, with a scripted network, step by step."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.lm.base import LanguageModelError
from pipeline.lm.batching import Batch, Request
from pipeline.stopping import Stop, Stopped

END = 0
ENDS = frozenset({END})


class Arithmetic:
    """What follows depends on all that was read: so whoever reads the wrong thing answers wrong. It never ends."""

    on_processor = True
    read_at_once = 256

    def __init__(self, conversations: int = 2, context_tokens: int = 1000, most_drafted: int = 0) -> None:
        self.conversations = conversations
        self.context_tokens = context_tokens
        self.most_drafted = most_drafted
        self.held: list[list[int]] = [[] for _ in range(conversations)]
        self.reads: list[tuple[int, int, int]] = []
        self.steps: list[int] = []
        self.fails = False

    def read(self, slot: int, tokens: Sequence[int], before: int) -> int:
        assert len(self.held[slot]) >= before
        assert before + len(tokens) <= self.context_tokens
        self.held[slot] = [*self.held[slot][:before], *tokens]
        self.reads.append((slot, len(tokens), before))
        return self.follows(self.held[slot])

    def step(self, fed: Sequence[tuple[int, int, int]]) -> list[int]:
        self.steps.append(len(fed))
        if self.fails:
            raise RuntimeError("out of memory")
        best = [self.read(slot, [token], before) for slot, token, before in fed]
        del self.reads[-len(fed) :]
        return best

    def verify(self, slot: int, tokens: Sequence[int], before: int) -> list[int]:
        self.steps.append(1)
        assert len(tokens) <= self.most_drafted + 1
        best = [self.read(slot, [token], before + number) for number, token in enumerate(tokens)]
        del self.reads[-len(tokens) :]
        return best

    def copy(self, source: int, target: int, length: int) -> None:
        self.held[target] = self.held[source][:length]

    def swap(self, one: int, other: int, length: int) -> None:
        self.held[one], self.held[other] = self.held[other][:length], self.held[one][:length]

    @staticmethod
    def follows(held: Sequence[int]) -> int:
        value = 7
        for token in held:
            value = (31 * value + token) % 997
        return value + 1


class Ending(Arithmetic):
    """Ends after three tokens."""

    def step(self, fed: Sequence[tuple[int, int, int]]) -> list[int]:
        best = super().step(fed)
        return [END if len(self.steps) >= 3 else token for token in best]


class Chanting(Arithmetic):
    """Counts to five, again and again."""

    @staticmethod
    def follows(held: Sequence[int]) -> int:
        return held[-1] % 5 + 1


def expected(prompt: Sequence[int], count: int) -> list[int]:
    held = list(prompt)
    for _ in range(count):
        held.append(Arithmetic.follows(held))
    return held[len(prompt) :]


def finish(batch: Batch) -> None:
    while batch.step():
        pass


def ask(batch: Batch, prompt: Sequence[int], most: int = 5, stop: Stop | None = None) -> Request:
    return batch.submit(prompt, most, ENDS, stop or Stop())


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


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has threads that give way")
@pytest.mark.parametrize("on_processor", [True, False])
def test_only_what_is_well_ahead_of_its_listener_gives_way(on_processor: bool) -> None:
    own = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
    niceness: list[tuple[int, int]] = []

    class Watched(Arithmetic):
        def read(self, slot: int, tokens: Sequence[int], before: int) -> int:
            niceness.append((before, os.getpriority(os.PRIO_PROCESS, threading.get_native_id()) - own))
            return super().read(slot, tokens, before)

    network = Watched()
    network.on_processor = on_processor
    batch = Batch(network)
    threading.Thread(target=batch.run, daemon=True).start()
    most_nice = 19
    if own == most_nice:
        pytest.skip("the tests run with a niceness of 19, and nothing can be nicer")
    for most in (60, 10):  # nobody else has to give way because one had
        niceness.clear()
        assert list(ask(batch, [1], most=most).tokens()) == expected([1], most)
        gives_way = [before for before, nicer in niceness if nicer > 0]
        assert gives_way == (list(range(20, most)) if on_processor else [])


def test_where_nobody_may_give_way_all_is_written_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: int) -> None:
        raise PermissionError("not here")

    monkeypatch.setattr(os, "setpriority", refuse)
    batch = Batch(Arithmetic())
    threading.Thread(target=batch.run, daemon=True).start()
    assert list(ask(batch, [1], most=60).tokens()) == expected([1], 60)


def test_who_is_waited_for_is_not_written_for_by_a_thread_that_gives_way() -> None:
    batch = Batch(Arithmetic())
    ask(batch, [1], most=60)
    for _ in range(30):
        batch.step()
    assert batch.is_well_ahead()
    ask(batch, [2], most=60)
    assert not batch.is_well_ahead()
    batch.step()
    assert not batch.is_well_ahead()
    for _ in range(30):
        batch.step()
    assert batch.is_well_ahead()


def test_an_answer_that_pauses_is_not_written_on_while_others_are() -> None:
    network, stop = Arithmetic(), Stop()
    batch = Batch(network)
    pausing, other = ask(batch, [1, 2], most=6, stop=stop), ask(batch, [1, 3], most=6)
    batch.step()
    stop.pause()
    finish(batch)
    assert list(other.tokens()) == expected([1, 3], 6)
    steps = len(network.steps)
    assert not batch.step()
    stop.go_on()
    finish(batch)
    assert list(pausing.tokens()) == expected([1, 2], 6)
    assert set(network.steps[steps:]) == {1}


def test_where_all_pause_the_thread_that_writes_waits_until_one_goes_on() -> None:
    network, stop = Arithmetic(), Stop()
    batch = Batch(network)
    threading.Thread(target=batch.run, daemon=True).start()
    tokens = ask(batch, [1, 2], most=200, stop=stop).tokens()
    written = [next(tokens)]
    stop.pause()
    at = threading.Event()
    at.wait(0.05)  # for the step that was under way
    steps = len(network.steps)
    at.wait(0.05)
    assert len(network.steps) == steps
    stop.go_on()
    assert [*written, *tokens] == expected([1, 2], 200)


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
