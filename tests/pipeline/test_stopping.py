"""Telling work in another thread to stop."""

from __future__ import annotations

import pytest

from pipeline.stopping import Stop, Stopped


def test_told_once_and_for_all() -> None:
    stop = Stop()
    stop.check()
    stop.tell()
    stop.tell()
    assert stop.told
    with pytest.raises(Stopped):
        stop.check()


def test_what_runs_is_interrupted_and_what_it_raises_then_is_its_stop() -> None:
    stop = Stop()
    interrupted = []
    with pytest.raises(Stopped), stop.interrupting(lambda: interrupted.append(1)):
        stop.tell()
        raise RuntimeError("torn down")
    assert interrupted == [1]


def test_an_error_of_its_own_is_no_stop() -> None:
    with pytest.raises(RuntimeError, match="its own"), Stop().interrupting(lambda: None):
        raise RuntimeError("its own")


def test_what_begins_too_late_does_not_begin() -> None:
    stop = Stop()
    stop.tell()
    with pytest.raises(Stopped), stop.interrupting(lambda: None):
        pytest.fail("it began")


def test_what_is_through_is_not_interrupted_any_more() -> None:
    stop = Stop()
    interrupted = []
    with stop.interrupting(lambda: interrupted.append(1)):
        pass
    stop.tell()
    assert interrupted == []


def test_work_that_pauses_is_told_so_and_when_to_go_on() -> None:
    stop = Stop()
    told: list[bool] = []
    stop.pause()
    with stop.pausing(told.append):
        stop.pause()
        assert stop.paused
        stop.go_on()
        stop.go_on()
        assert not stop.paused
        stop.pause()
    stop.go_on()
    assert told == [True, False, True]


def test_what_pauses_can_be_stopped() -> None:
    stop = Stop()
    stop.pause()
    stop.tell()
    assert not stop.paused
