"""A process of its own for models: when a native library crashes or hangs there, only the turns it was at are lost.

The engine's worker threads call `ModelProcess` as they would call the model, and wait. Each step is asked for by
itself, so that a synthesiser which makes room for a more urgent clause makes no sound meanwhile. A process that dies
fails the calls that were in it, is started again at once, and serves the next call as if nothing had been.

The two speak `multiprocessing`'s pickles over a socket pair: both ends are this program. `pipeline/model_host.py` is
the other end.
"""

from __future__ import annotations

import itertools
import logging
import os
import queue
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from multiprocessing.connection import Connection
from typing import Any

from pipeline.stopping import Stop

log = logging.getLogger(__name__)

HANGS_AFTER_S = 60.0
"""No step of a model takes nearly so long on a machine that can hold a conversation."""

Loaders = Mapping[str, Callable[[], object]]
"""The models of a process by name: functions that can be pickled, and load one each."""


class ModelProcessError(RuntimeError):
    """The process of a model died, or had to be killed, during a call; the next call finds a new one."""


class ModelProcess:
    """The models of one worker. Start it, then call it from as many threads as it has `slots`.

    Args:
        name: of the worker, for messages.
        loaders: run in the new process, in their order.
        slots: calls at once.
        niceness: of the whole process.
        hangs_after_s: a step that takes longer does not come back; the process is killed then.
    """

    def __init__(
        self, name: str, loaders: Loaders, *, slots: int = 1, niceness: int = 0, hangs_after_s: float = HANGS_AFTER_S
    ) -> None:
        self.name = name
        self._loaders = loaders
        self._slots = slots
        self._niceness = niceness
        self._hangs_after_s = hangs_after_s
        self._starting = threading.Lock()
        self._current: _Running | None = None
        self._closed = False
        self.restarts = 0
        """How often it had to be started again."""

    def begin(self) -> None:
        """Start it, and do not wait for its models."""
        with self._starting:
            self._current = self._run()

    def wait(self) -> None:
        """Until its models are loaded.

        Raises:
            ModelProcessError: it died over that.
            Exception: what a loader raised.
        """
        running = self._current
        assert running is not None, "begin() comes before wait()"  # noqa: S101 - a mistake of the programmer
        running.wait()

    @property
    def models(self) -> tuple[str, ...]:
        """Their names."""
        return tuple(self._loaders)

    @property
    def pid(self) -> int | None:
        return self._current.process.pid if self._current else None

    def call(self, model: str, method: str, *arguments: object, stop: Stop | None = None, **named: object) -> Any:
        """What the model's method returns. `stop` is handed on.

        Raises:
            Stopped: told to stop.
            ModelProcessError: the process died, or had to be killed.
            Exception: what the method raised.
        """
        with self._conversing(stop) as talk:
            return talk.ask("call", model, method, arguments, named, stop is not None)

    def stream(
        self, model: str, method: str, *arguments: object, stop: Stop | None = None, **named: object
    ) -> Iterator[Any]:
        """What the model's generator yields, each made when it is asked for; closing this closes that. That it is to
        pause is handed on, too.

        Raises: as `call`.
        """
        with self._conversing(stop) as talk:
            talk.ask("open", model, method, arguments, named, stop is not None)
            try:
                with nullcontext() if stop is None else stop.pausing(talk.tell_to_pause):
                    while (piece := talk.ask("next")) is not END:
                        yield piece
            finally:
                talk.let_go()

    def processor_s(self) -> float:
        """The processor time that the process that runs now has taken."""
        with self._conversing(None) as talk:
            return float(talk.ask("processor"))

    def close(self) -> None:
        """End it, whatever it does. Blocks."""
        with self._starting:
            self._closed = True
            running, self._current = self._current, None
        if running is not None:
            running.end()

    @contextmanager
    def _conversing(self, stop: Stop | None) -> Iterator[_Talk]:
        talk = _Talk(self._ready(), self._hangs_after_s)
        try:
            if stop is None:
                yield talk
            else:
                with stop.interrupting(talk.tell_to_stop):
                    yield talk
        finally:
            talk.forget()

    def _ready(self) -> _Running:
        with self._starting:
            if self._closed:
                raise ModelProcessError(f"the {self.name} has been closed")
            if self._current is None:
                self._current = self._run()
            elif self._current.dead:
                self._replace(self._current)
            running = self._current
        running.wait()
        return running

    def _run(self) -> _Running:
        return _Running(self.name, self._loaders, self._slots, self._niceness, self._died)

    def _died(self, running: _Running) -> None:
        """In a thread of its own. So that whoever speaks next need not wait for the models to be loaded."""
        with self._starting:
            if self._closed or self._current is not running or not running.was_ready:
                return
            self._replace(running)

    def _replace(self, dead: _Running) -> None:
        self.restarts += 1
        log.error("the process of the %s died (%s), and is started again", self.name, dead.fate())
        self._current = self._run()


class _End:
    """Pickled as what it is: the one mark after the last piece of a stream."""

    def __reduce__(self) -> str:
        return "END"


END = _End()


_ENVIRONMENT = {
    # NumPy splits small products among all cores and then waits for them: when another model keeps one of them busy,
    # the features of 8 s of speech take up to 28 ms so, and 3 ms in one thread.
    "OPENBLAS_NUM_THREADS": "1",
    # Two threads of OpenMP, as llama.cpp has, wait for each other at every step. Spinning for a few microseconds makes
    # them twice as fast as one; spinning until the other has come, as is customary, makes them five times slower than
    # one when another model keeps a core busy, and takes that from it.
    "GOMP_SPINCOUNT": "1000",
    # Weights in pages of 2 MiB, which Linux gives to who asks for them. Alone on a virtual machine, Whisper's encoder
    # took a tenth less time so, Smart Turn and Kokoro's first sound a twentieth. What is reckoned with them, after
    # loading, has none, and pairs of runs showed no difference (`_give_back` in `model_host.py`).
    "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1",
}


class _Running:
    """One process, from its start to its death."""

    def __init__(
        self, name: str, loaders: Loaders, slots: int, niceness: int, on_death: Callable[[_Running], None]
    ) -> None:
        self._name = name
        self._on_death = on_death
        ours, theirs = socket.socketpair()
        with theirs:
            self.process = subprocess.Popen(  # noqa: S603 - this program itself
                [sys.executable, "-m", "pipeline.model_host", str(theirs.fileno()), name],
                pass_fds=(theirs.fileno(),),
                stdin=subprocess.DEVNULL,
                env=_ENVIRONMENT | os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            )
        self._connection = Connection(ours.detach())
        self._sending = threading.Lock()
        self._answers: dict[int, queue.SimpleQueue[tuple[str, Any]]] = {}
        self._numbers = itertools.count(1)
        self._state = threading.Lock()
        self._ready = threading.Event()
        self._failure: BaseException | None = None
        self.dead = False
        self.send(0, "load", (name, loaders, slots, niceness))
        threading.Thread(target=self._read, name=f"{name}-answers", daemon=True).start()

    @property
    def was_ready(self) -> bool:
        """Its models were loaded, once."""
        return self._ready.is_set() and self._failure is None

    def wait(self) -> None:
        self._ready.wait()
        if self._failure is not None:
            raise self._failure

    def send(self, number: int, kind: str, content: object = None) -> None:
        try:
            with self._sending:
                self._connection.send((number, kind, content))
        except (BrokenPipeError, ConnectionResetError, OSError):
            pass  # the thread that reads notices, and tells everybody

    def open(self) -> tuple[int, queue.SimpleQueue[tuple[str, Any]]]:
        answers: queue.SimpleQueue[tuple[str, Any]] = queue.SimpleQueue()
        with self._state:
            number = next(self._numbers)
            if self.dead:
                answers.put(("died", None))
            self._answers[number] = answers
        return number, answers

    def forget(self, number: int) -> None:
        with self._state:
            self._answers.pop(number, None)

    def died(self) -> ModelProcessError:
        return ModelProcessError(f"the process of the {self._name} died ({self.fate()}); it is started again")

    def fate(self) -> str:
        """How it ended."""
        code = self.process.wait()
        return f"signal {-code}" if code < 0 else f"exit code {code}"

    def kill(self) -> None:
        with self._state:
            self.dead = True  # at once: the next call must not be given to it any more
        self.process.kill()

    def end(self) -> None:
        """It has nothing to put away, and some libraries wait for ever for threads that wait for them."""
        self.process.kill()
        self.process.wait()

    def _read(self) -> None:
        with suppress(EOFError, OSError):
            while True:
                number, kind, content = self._connection.recv()
                if number == 0:
                    self._failure = content if kind == "failed" else None
                    self._ready.set()
                    if self._failure is not None:
                        self.process.kill()  # whoever comes next has it tried again
                    continue
                with self._state:
                    answers = self._answers.get(number)
                if answers is not None:
                    answers.put((kind, content))
        self._connection.close()
        with self._state:
            self.dead = True
            for answers in self._answers.values():
                answers.put(("died", None))
        if not self._ready.is_set():
            self._failure = self.died()
            self._ready.set()
        self.process.wait()
        self._on_death(self)


class _Talk:
    """One call, or one stream, in a process."""

    def __init__(self, running: _Running, hangs_after_s: float) -> None:
        self._running = running
        self._hangs_after_s = hangs_after_s
        self._number, self._answers = running.open()
        self._pauses = self._has_paused = False

    def ask(self, kind: str, *content: object) -> Any:
        self._running.send(self._number, kind, content)
        while True:
            self._has_paused = self._pauses
            try:
                answer, value = self._answers.get(timeout=self._hangs_after_s)
                break
            except queue.Empty:
                if not self._has_paused:  # what has paused meanwhile gets all of its time anew
                    self._running.kill()
                    raise self._running.died() from None
        if answer == "died":
            raise self._running.died()
        if answer == "failed":
            raise value
        return value

    def tell_to_stop(self) -> None:
        self._running.send(self._number, "stop")

    def tell_to_pause(self, paused: bool) -> None:
        self._pauses = paused
        self._has_paused |= paused
        self._running.send(self._number, "pause", paused)

    def let_go(self) -> None:
        """Close the stream there, and wait until nothing of it runs."""
        if not self._running.dead:
            with suppress(ModelProcessError):
                self.ask("close")

    def forget(self) -> None:
        self._running.forget(self._number)
