"""Models in a process of their own, with models that crash, hang and fail as they are told to."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from pipeline.model_process import ModelProcess, ModelProcessError
from pipeline.remote import RemoteLanguageModel
from pipeline.stopping import Stop, Stopped

MODELS = """
import os, time

import psutil

class Model:
    made = 0

    def echo(self, value, *, again=0):
        return [value] * (1 + again)

    def fail(self):
        raise ValueError("not like this")

    def fail_oddly(self):
        class Odd(Exception):
            pass
        raise Odd("cannot travel")

    def count(self, n):
        try:
            for number in range(n):
                self.made += 1
                yield number
        finally:
            self.made = -1

    def look(self):
        return self.made

    def wait(self, *, stop):
        while True:
            stop.check()
            time.sleep(0.001)

    def count_pauses(self, *, stop):
        while not stop.paused:
            time.sleep(0.001)
        yield "paused"
        while stop.paused:
            time.sleep(0.001)
        yield "goes on"

    def hang(self):
        time.sleep(3600)

    def die(self):
        os.abort()

    tells_ends = True

    def sentence_ends(self, text, *, stop):
        stop.check()
        return len(text) / 10 if text else None

    def variable(self, name):
        return os.environ.get(name)

    def large_pages(self):
        status = open("/proc/self/status").read().splitlines()
        return next((line.split()[1] for line in status if line.startswith("THP_enabled")), None)

    def priority(self):
        return os.getpriority(os.PRIO_PROCESS, 0)

def held():
    return psutil.Process().memory_info().rss

class Large:
    def __init__(self):
        # Twice as much as is kept, here and there.
        self.before = held()
        blocks = [b"x" * 30_000 for _ in range(2_000)]
        self.taken = held() - self.before
        self.kept = blocks[::2]

    def still_held(self):
        return (held() - self.before) / self.taken

def broken():
    raise FileNotFoundError("the weights are not there")

def deadly():
    os._exit(7)
"""


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> object:
    (tmp_path / "odd_models.py").write_text(MODELS)
    monkeypatch.syspath_prepend(str(tmp_path))
    import odd_models  # type: ignore[import-not-found]  # written above

    yield odd_models
    del sys.modules["odd_models"]


@pytest.fixture
def process(models: object) -> Iterator[Callable[..., ModelProcess]]:
    started: list[ModelProcess] = []

    def start(loader: str = "Model", **settings: object) -> ModelProcess:
        found = ModelProcess("model", {"it": getattr(models, loader)}, **settings)  # type: ignore[arg-type]  # as given
        started.append(found)
        found.begin()
        found.wait()
        return found

    yield start
    for one in started:
        one.close()


def until(condition: Callable[[], bool]) -> None:
    while not condition():
        time.sleep(0.005)


def is_there(pid: int | None) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def test_a_call_is_answered_and_arrays_are_the_same_there_and_here(process: Callable[..., ModelProcess]) -> None:
    it = process()
    samples = np.linspace(-1, 1, 160_000, dtype=np.float32)
    one, two = it.call("it", "echo", samples, again=1)
    assert one.dtype == np.float32
    assert np.array_equal(one, samples)
    assert np.array_equal(two, samples)


def test_a_language_model_there_tells_here_of_sentences(process: Callable[..., ModelProcess]) -> None:
    model = RemoteLanguageModel(process(), "it")
    assert model.tells_ends is True
    assert [model.sentence_ends(text, stop=Stop()) for text in ("hello", "")] == [0.5, None]


def test_what_a_model_raises_is_raised_here_with_where_it_came_from(process: Callable[..., ModelProcess]) -> None:
    it = process()
    with pytest.raises(ValueError, match="not like this") as raised:
        it.call("it", "fail")
    assert "in fail" in raised.value.__notes__[0]
    with pytest.raises(RuntimeError, match="Odd: cannot travel"):
        it.call("it", "fail_oddly")
    assert it.call("it", "echo", 1) == [1]


def test_a_piece_is_made_when_it_is_asked_for_and_closing_closes(process: Callable[..., ModelProcess]) -> None:
    it = process()
    pieces = it.stream("it", "count", 9)
    assert [next(pieces), next(pieces)] == [0, 1]
    assert it.call("it", "look") == 2
    pieces.close()  # type: ignore[attr-defined]  # it is a generator
    assert it.call("it", "look") == -1
    assert list(it.stream("it", "count", 3)) == [0, 1, 2]


def test_a_stream_can_be_asked_to_pause_and_to_go_on(process: Callable[..., ModelProcess]) -> None:
    it, stop = process(), Stop()
    pieces = it.stream("it", "count_pauses", stop=stop)
    threading.Timer(0.05, stop.pause).start()
    assert next(pieces) == "paused"
    threading.Timer(0.05, stop.go_on).start()
    assert list(pieces) == ["goes on"]


def test_a_stream_that_is_to_pause_already_is_told_so(process: Callable[..., ModelProcess]) -> None:
    it, stop = process(), Stop()
    stop.pause()
    pieces = it.stream("it", "count_pauses", stop=stop)
    assert next(pieces) == "paused"
    stop.go_on()
    assert list(pieces) == ["goes on"]


def test_a_stream_that_pauses_does_not_hang(process: Callable[..., ModelProcess]) -> None:
    it, stop = process(hangs_after_s=0.3), Stop()
    stop.pause()
    pieces = it.stream("it", "count_pauses", stop=stop)
    assert next(pieces) == "paused"
    threading.Timer(0.8, stop.go_on).start()
    assert list(pieces) == ["goes on"]
    assert it.restarts == 0


def test_a_call_at_work_can_be_told_to_stop(process: Callable[..., ModelProcess]) -> None:
    it, stop = process(), Stop()
    threading.Timer(0.05, stop.tell).start()
    with pytest.raises(Stopped):
        it.call("it", "wait", stop=stop)
    assert it.call("it", "echo", 1) == [1]


@pytest.mark.parametrize("death", [partial(os.kill), None], ids=["killed", "crashed"])
def test_a_process_that_dies_loses_its_calls_and_serves_the_next(
    process: Callable[..., ModelProcess], death: Callable[[int, int], None] | None
) -> None:
    it = process(slots=2)
    dead = it.pid
    with ThreadPoolExecutor(1) as other:
        waiting = other.submit(it.call, "it", "wait", stop=Stop())
        if death is None:
            with pytest.raises(ModelProcessError, match=f"signal {signal.SIGABRT.value}"):
                it.call("it", "die")
        else:
            assert dead is not None
            death(dead, signal.SIGKILL)
        with pytest.raises(ModelProcessError, match="model died"):
            waiting.result()
    assert it.call("it", "echo", 1) == [1]
    assert it.pid != dead
    assert it.restarts == 1


def test_a_process_that_dies_while_nobody_asks_is_there_again_for_the_next(
    process: Callable[..., ModelProcess],
) -> None:
    it = process()
    dead = it.pid
    assert dead is not None
    os.kill(dead, signal.SIGKILL)
    until(lambda: it.restarts == 1)
    assert it.call("it", "echo", 1) == [1]


def test_a_stream_whose_process_dies_ends_with_an_error(process: Callable[..., ModelProcess]) -> None:
    it = process()
    pieces = it.stream("it", "count", 9)
    next(pieces)
    assert it.pid is not None
    os.kill(it.pid, signal.SIGKILL)
    with pytest.raises(ModelProcessError):
        list(pieces)


def test_a_call_that_does_not_come_back_is_given_up_and_its_process_replaced(
    process: Callable[..., ModelProcess],
) -> None:
    it = process(hangs_after_s=2.0)
    with pytest.raises(ModelProcessError, match="signal 9"):
        it.call("it", "hang")
    assert it.call("it", "echo", 1) == [1]
    assert it.restarts == 1


def test_what_a_loader_raises_is_raised_by_who_waits(process: Callable[..., ModelProcess]) -> None:
    with pytest.raises(FileNotFoundError, match="the weights are not there"):
        process("broken")
    with pytest.raises(ModelProcessError, match="exit code 7"):
        process("deadly")


def test_signals_for_the_server_do_not_end_it(process: Callable[..., ModelProcess]) -> None:
    it = process()
    first = it.pid
    assert first is not None
    for number in (signal.SIGINT, signal.SIGTERM):
        os.kill(first, number)
    assert it.call("it", "echo", 1) == [1]
    assert it.pid == first


def test_it_runs_at_a_lower_priority(process: Callable[..., ModelProcess]) -> None:
    assert process(niceness=5).call("it", "priority") == os.getpriority(os.PRIO_PROCESS, 0) + 5


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "malloc_trim"), reason="not the GNU C library")
def test_what_only_loading_took_is_given_back(process: Callable[..., ModelProcess]) -> None:
    assert process("Large").call("it", "still_held") < 0.75


@pytest.mark.skipif(sys.platform != "linux", reason="the pages of Linux")
def test_what_is_given_back_is_not_filled_up_with_large_pages(process: Callable[..., ModelProcess]) -> None:
    large_pages = process().call("it", "large_pages")
    if large_pages is None:
        pytest.skip("a kernel before 5.0 does not tell")
    assert large_pages == "0"


def test_its_processor_time_is_told(process: Callable[..., ModelProcess]) -> None:
    it = process()
    before = it.processor_s()
    list(it.stream("it", "count", 2000))
    assert it.processor_s() > before > 0


def test_closing_ends_it_whatever_it_does(process: Callable[..., ModelProcess]) -> None:
    it = process()
    pid = it.pid
    with ThreadPoolExecutor(1) as other:
        hung = other.submit(it.call, "it", "hang")
        until(lambda: bool(it._current and it._current._answers))
        it.close()
        with pytest.raises(ModelProcessError):
            hung.result()
    assert not is_there(pid)
    with pytest.raises(ModelProcessError, match="closed"):
        it.call("it", "echo", 1)


def test_it_leaves_when_who_started_it_is_killed(models: object, tmp_path: Path) -> None:
    program = (
        "import odd_models, time; from pipeline.model_process import ModelProcess\n"
        "it = ModelProcess('model', {'it': odd_models.Model}); it.begin(); it.wait(); print(it.pid, flush=True)\n"
        "time.sleep(3600)"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, env=environment) as owner:
        assert owner.stdout is not None
        pid = int(owner.stdout.readline())
        assert is_there(pid)
        owner.kill()
    until(lambda: not is_there(pid))


@pytest.mark.parametrize(
    ("variable", "ours"),
    [("OPENBLAS_NUM_THREADS", "1"), ("GOMP_SPINCOUNT", "1000"), ("GLIBC_TUNABLES", "glibc.malloc.hugetlb=1")],
)
@pytest.mark.parametrize("said", [None, "3"])
def test_how_libraries_share_the_machine_is_for_the_operator_to_say_first(
    process: Callable[..., ModelProcess], monkeypatch: pytest.MonkeyPatch, variable: str, ours: str, said: str | None
) -> None:
    monkeypatch.delenv(variable, raising=False)
    if said is not None:
        monkeypatch.setenv(variable, said)
    assert process().call("it", "variable", variable) == (said or ours)
