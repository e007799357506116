"""What runs in the process of a model: `python -m pipeline.model_host FD NAME`. See `pipeline/model_process.py`.

The name is for whoever looks at a list of processes.

The main thread reads what is asked, and the models are called in threads of a pool; so a call can be told to stop while
it is at work. The process leaves when the other end of the socket has gone, however that came to be.
"""

from __future__ import annotations

import ctypes
import faulthandler
import gc
import os
import pickle
import signal
import sys
import threading
import time
import traceback
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from multiprocessing.connection import Connection
from typing import Any

from pipeline.model_process import END, Loaders
from pipeline.stopping import Stop

_PR_SET_THP_DISABLE = 41
"""From sys/prctl.h."""


class Host:
    """Answers each message `(number, kind, content)` with `(number, "value" or "failed", content)`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._sending = threading.Lock()
        self._models: dict[str, object] = {}
        self._streams: dict[int, Generator[object]] = {}
        self._stops: dict[int, Stop] = {}
        self._pool: ThreadPoolExecutor

    def serve(self) -> None:
        while True:
            try:
                number, kind, content = self._connection.recv()
            except (EOFError, OSError):
                return
            match kind:
                case "load":
                    _, loaders, slots, niceness = content
                    os.nice(niceness)  # more than it was started with; to have less takes a privilege
                    self._pool = ThreadPoolExecutor(slots, thread_name_prefix="model")
                    self._pool.submit(self._answer, number, partial(self._load, loaders))
                case "stop":
                    if stop := self._stops.get(number):
                        stop.tell()
                case "pause":
                    if stop := self._stops.get(number):
                        (stop.pause if content else stop.go_on)()
                case "processor":
                    self._answer(number, time.process_time)
                case _:
                    if kind in ("call", "open"):
                        self._stops[number] = Stop()
                    step = getattr(self, f"_{kind}")
                    self._pool.submit(self._answer, number, partial(step, number, *content))

    def _load(self, loaders: Loaders) -> None:
        for name, load in loaders.items():
            self._models[name] = load()
        _give_back()

    def _call(
        self, number: int, model: str, method: str, arguments: tuple[object, ...], named: dict[str, Any], stops: bool
    ) -> object:
        try:
            return self._begin(number, model, method, arguments, named, stops)
        finally:
            del self._stops[number]

    def _open(
        self, number: int, model: str, method: str, arguments: tuple[object, ...], named: dict[str, Any], stops: bool
    ) -> None:
        try:
            self._streams[number] = self._begin(number, model, method, arguments, named, stops)
        except BaseException:
            del self._stops[number]
            raise

    def _begin(
        self, number: int, model: str, method: str, arguments: tuple[object, ...], named: dict[str, Any], stops: bool
    ) -> Any:
        found = getattr(self._models[model], method)
        if not callable(found):
            return found
        return found(*arguments, **named, **({"stop": self._stops[number]} if stops else {}))

    def _next(self, number: int) -> object:
        return next(self._streams[number], END)

    def _close(self, number: int) -> None:
        del self._stops[number]
        self._streams.pop(number).close()

    def _answer(self, number: int, step: partial[Any] | Any) -> None:
        try:
            answer: tuple[int, str, object] = (number, "value", step())
        except BaseException as error:
            answer = (number, "failed", _told(error))
        with self._sending, suppress(OSError):  # nobody is left to be told
            self._connection.send(answer)


def _told(error: BaseException) -> BaseException:
    """An exception that can travel, with where it came from."""
    where = "".join(traceback.format_exception(error)).rstrip()
    try:
        told: BaseException = pickle.loads(pickle.dumps(error))  # noqa: S301 - made in this line
    except Exception:
        told = RuntimeError(f"{type(error).__name__}: {error}")
    told.add_note(f"in the process of the model:\n{where}")
    return told


def _give_back() -> None:
    """A graph takes several times as much memory while it is built. By itself the C library would keep it, if it is
    GNU's. Where it has been given back, Linux would put pages of 2 MiB again for every one of 4 KiB that is still held
    there, one by one: no new ones, then. The weights keep theirs. Sources: malloc_trim(3), prctl(2)."""
    gc.collect()
    library = ctypes.CDLL(None)
    if hasattr(library, "malloc_trim"):
        library.malloc_trim(0)
    if sys.platform == "linux":
        library.prctl(_PR_SET_THP_DISABLE, 1, 0, 0, 0)


def main() -> None:
    # Both are meant for the server, which lets replies end and then closes the socket.
    for ignored in (signal.SIGINT, signal.SIGTERM):
        signal.signal(ignored, signal.SIG_IGN)
    faulthandler.enable()
    Host(Connection(int(sys.argv[1]))).serve()
    # The other end has gone. No library gets a say in when to leave: some wait for threads that wait for them.
    os._exit(0)


if __name__ == "__main__":
    main()
