"""What is written ahead of whoever listens, and what pauses, with a scripted network."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Sequence

import pytest

from pipeline.lm.batching import Batch
from pipeline.stopping import Stop, Stopped
from tests.pipeline.scripted_network import Arithmetic, ask, expected, finish


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


def test_where_all_pause_the_thread_that_writes_waits_until_one_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    network, stop = Arithmetic(), Stop()
    batch = Batch(network)
    threading.Thread(target=batch.run, daemon=True).start()
    tokens = ask(batch, [1, 2], most=200, stop=stop).tokens()
    written = [next(tokens)]
    stop.pause()
    time.sleep(0.05)  # for the step that was under way
    steps = len(network.steps)
    assert steps < 199
    with monkeypatch.context() as watched:
        stepped: list[None] = []
        watched.setattr(batch, "step", lambda: stepped.append(None))
        time.sleep(0.05)
        assert len(network.steps) == steps
        assert not stepped
    stop.go_on()
    assert [*written, *tokens] == expected([1, 2], 200)


def test_who_waits_for_the_slot_of_one_that_pauses_gets_it_when_that_is_stopped() -> None:
    network, stop = Arithmetic(conversations=1), Stop()
    batch = Batch(network)
    threading.Thread(target=batch.run, daemon=True).start()
    tokens = ask(batch, [1, 2], most=900, stop=stop).tokens()
    next(tokens)
    stop.pause()
    heard: list[int] = []
    waiting = ask(batch, [1, 3], most=6).tokens()
    listener = threading.Thread(target=lambda: heard.extend(waiting), daemon=True)
    listener.start()
    time.sleep(0.05)
    assert not batch._has_work()
    stop.tell()
    with pytest.raises(Stopped):
        list(tokens)
    listener.join(timeout=10)
    assert heard == expected([1, 3], 6)


def test_one_that_went_on_before_anybody_listened_is_written() -> None:
    stop = Stop()
    stop.pause()
    batch = Batch(Arithmetic())
    threading.Thread(target=batch.run, daemon=True).start()
    request = ask(batch, [1, 2], most=6, stop=stop)
    time.sleep(0.05)
    stop.go_on()
    assert list(request.tokens()) == expected([1, 2], 6)
