"""Several conversations on one copy of a model: each joins the batch and leaves it between two steps.

A slot holds what the model has read of one conversation, and keeps it when the reply is over. The next prompt of that
conversation begins with the same tokens and goes on from there, so a second turn pays only for its new words.
"""

from __future__ import annotations

import itertools
import logging
import os
import queue
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Protocol

from pipeline.lm.base import LanguageModelError
from pipeline.lm.prompt_lookup import draft
from pipeline.stopping import Stop

log = logging.getLogger(__name__)

_WORTH_COPYING = 16
"""Tokens; to read fewer costs no more than to have them from another slot."""
_WELL_AHEAD = 20
"""Tokens: a first clause, and most of a second. Who hears so many spoken listens for seconds before more is due."""
_NICER = 5
"""So much less of the processor's time a thread asks for that writes only for such, in steps of nice(2). Threads of the
network's own do not give way with it."""


class Decoding(Protocol):
    """A model with `conversations` slots, each for `context_tokens`. Called from one thread at a time.

    A step costs the less, the fewer slots there are before the last that takes part in it.
    """

    conversations: int
    context_tokens: int
    on_processor: bool
    """A step takes time of the processor, where speech is synthesised, too."""
    read_at_once: int
    """Tokens of a prompt that are read between two steps: so long do the others wait."""
    most_drafted: int
    """Tokens that are worth drafting, where a step reads several in little more time than one."""

    def read(self, slot: int, tokens: Sequence[int], before: int) -> int:
        """Read `tokens` after the first `before` of a slot; the rest of it is forgotten. Returns the likeliest next."""
        ...

    def step(self, fed: Sequence[tuple[int, int, int]]) -> list[int]:
        """Read one token in each of several slots: (slot, token, before). Returns the likeliest next of each."""
        ...

    def verify(self, slot: int, tokens: Sequence[int], before: int) -> list[int]:
        """As `read`, but returns the likeliest next after each of `tokens`. Only where something is drafted."""
        ...

    def copy(self, source: int, target: int, length: int) -> None:
        """Have the first `length` tokens of one slot in another, too."""
        ...

    def swap(self, one: int, other: int, length: int) -> None:
        """Exchange the first `length` tokens of two slots."""
        ...


@dataclass(frozen=True, slots=True)
class Over:
    """The end of an answer; `cut` is whether it might have gone on."""

    cut: bool


class Request:
    """An answer that is being written; `tokens` streams it, and closing that takes the request back."""

    def __init__(
        self, prompt: Sequence[int], most: int, ends: frozenset[int], stop: Stop, changed: Callable[[], object]
    ) -> None:
        """`changed` is told when it pauses, when it goes on, and when it is not wanted any more."""
        self.prompt = list(prompt)
        self.most = most
        self.ends = ends
        self.cut = False
        self._stop = stop
        self._changed = changed
        self._closed = False
        # Bounded by `most`.
        self._out: queue.SimpleQueue[int | Over | Exception | None] = queue.SimpleQueue()

    @property
    def wanted(self) -> bool:
        return not (self._closed or self._stop.told)

    @property
    def paused(self) -> bool:
        return self.wanted and self._stop.paused

    def put(self, piece: int | Over | Exception) -> None:
        self._out.put(piece)

    def tokens(self) -> Iterator[int]:
        """As they are written, the one that ends the answer not among them.

        Raises:
            LanguageModelError: the model failed.
            Stopped: told to stop.
        """
        try:
            with (
                self._stop.interrupting(lambda: self._out.put(None)),
                self._stop.pausing(lambda _: self._changed()),
            ):
                self._changed()  # it may have paused, and gone on, before anybody watched
                while (piece := self._out.get()) is not None:
                    if isinstance(piece, Over):
                        self.cut = piece.cut
                        return
                    if isinstance(piece, Exception):
                        raise LanguageModelError(f"the language model failed: {piece}") from piece
                    yield piece
        finally:
            self._closed = True
            self._changed()


@dataclass(slots=True)
class _Slot:
    """Attributes:
    held: the tokens that the model has read here.
    next: the token to be read next, once the prompt has been.
    """

    number: int
    held: list[int] = field(default_factory=list)
    request: Request | None = None
    next: int | None = None
    written: int = 0
    used: int = 0

    @property
    def busy(self) -> bool:
        """There is something to be done in it now."""
        return self.request is not None and not self.request.paused


class Batch:
    """`submit` from any thread; `step`, or `run` in a thread of its own."""

    def __init__(self, decoding: Decoding) -> None:
        self._decoding = decoding
        self._slots = [_Slot(number) for number in range(decoding.conversations)]
        self._waiting: deque[Request] = deque()
        self._news = threading.Condition()
        self._times = itertools.count(1)

    def submit(self, prompt: Sequence[int], most: int, ends: frozenset[int], stop: Stop) -> Request:
        """Ask for at most `most` tokens after `prompt`; with 0 it is only read.

        Raises:
            LanguageModelError: it does not fit.
        """
        room = self._decoding.context_tokens - len(prompt)
        if room < min(most, 1):
            raise LanguageModelError(
                f"the prompt has {len(prompt)} tokens and the context {self._decoding.context_tokens}: lower "
                "history_tokens in the profile, or raise context_tokens"
            )
        request = Request(prompt, min(most, room), ends, stop, self._wake)
        with self._news:
            self._waiting.append(request)
            self._news.notify()
        return request

    def run(self) -> None:
        """For ever. What a listener need not wait for is written by a thread that gives way to the synthesiser. So is
        the rest of a reply that is only read, while others are spoken to."""
        with ThreadPoolExecutor(1, thread_name_prefix="language-model-ahead", initializer=_give_way) as ahead:
            while True:
                with self._news:
                    self._news.wait_for(self._has_work)
                if self._decoding.on_processor and self.is_well_ahead():
                    ahead.submit(self.step).result()
                else:
                    self.step()

    def _has_work(self) -> bool:
        let_in = self._waiting and any(slot.request is None or not slot.request.wanted for slot in self._slots)
        return bool(let_in) or any(slot.busy for slot in self._slots)

    def is_well_ahead(self) -> bool:
        """Nobody who listens waits for what the next step will do. Of the thread that steps."""
        return not self._waiting and all(slot.written >= _WELL_AHEAD for slot in self._slots if slot.busy)

    def step(self) -> bool:
        """Let in who waits, read on in one prompt, and write one token of every answer. Whether anything was done."""
        for slot in self._slots:
            if slot.request is not None and not slot.request.wanted:
                slot.request = None
        self._admit()
        reading = [slot for slot in self._slots if slot.busy and slot.next is None]
        if reading:
            self._guarded(self._read, [min(reading, key=lambda slot: slot.used)])
        writing = [slot for slot in self._slots if slot.busy and slot.next is not None]
        if writing:
            self._guarded(self._write, writing)
        return bool(reading or writing)

    def _wake(self) -> None:
        with self._news:
            self._news.notify()

    def _admit(self) -> None:
        while free := [slot for slot in self._slots if slot.request is None]:
            with self._news:
                request = self._waiting.popleft() if self._waiting else None
            if request is None:
                return
            if request.wanted:
                try:
                    self._begin(request, free)
                except Exception as error:
                    log.exception("the language model failed")
                    request.put(error)
                    for slot in free:
                        slot.held = []

    def _begin(self, request: Request, free: list[_Slot]) -> None:
        # The last token is read in any case: what follows it is wanted.
        known = {slot.number: _common(slot.held, request.prompt[:-1]) for slot in self._slots}
        own = [slot for slot in free if known[slot.number] > len(slot.held) / 2]
        # Of a conversation that is not known here, the slot that nobody has used for the longest time.
        chosen = max(own, key=lambda one: known[one.number]) if own else min(free, key=lambda one: one.used)
        slot = self._to_the_front(chosen, free)
        known[slot.number], known[chosen.number] = known[chosen.number], known[slot.number]
        kept = known[slot.number]
        donor = max(self._slots, key=lambda one: known[one.number])
        if known[donor.number] >= kept + _WORTH_COPYING:
            kept = known[donor.number]
            self._decoding.copy(donor.number, slot.number, kept)
            slot.held = donor.held[:kept]
        del slot.held[kept:]
        slot.request, slot.next, slot.written, slot.used = request, None, 0, next(self._times)

    def _to_the_front(self, slot: _Slot, free: list[_Slot]) -> _Slot:
        """The first free slot, with what `slot` held; which has what that one held."""
        front = min(free, key=lambda one: one.number)
        if front is not slot:
            if length := max(len(front.held), len(slot.held)):
                self._decoding.swap(front.number, slot.number, length)
            front.held, slot.held = slot.held, front.held
            front.used, slot.used = slot.used, front.used
        return front

    def _read(self, slots: list[_Slot]) -> None:
        (slot,) = slots
        request = slot.request
        assert request is not None  # noqa: S101 - `step` chose it by that
        chunk = request.prompt[len(slot.held) : len(slot.held) + self._decoding.read_at_once]
        following = self._decoding.read(slot.number, chunk, len(slot.held))
        slot.held += chunk
        if len(slot.held) == len(request.prompt):
            self._take(slot, following)

    def _write(self, slots: list[_Slot]) -> None:
        if len(slots) == 1 and self._decoding.most_drafted:
            self._write_drafted(slots[0])
            return
        fed = [(slot.number, slot.next, len(slot.held)) for slot in slots if slot.next is not None]
        following = self._decoding.step(fed)
        for slot, (_, token, _), best in zip(slots, fed, following, strict=True):
            slot.held.append(token)
            self._take(slot, best)

    def _write_drafted(self, slot: _Slot) -> None:
        """As many tokens at once as the draft has right, and the one after them."""
        assert slot.request is not None and slot.next is not None  # noqa: S101, PT018 - `step` chose it by that
        most = min(self._decoding.most_drafted, slot.request.most - slot.written - 1)
        tokens = [slot.next, *draft([*slot.held, slot.next], most)]
        following = self._decoding.verify(slot.number, tokens, len(slot.held))
        for token, best in zip(tokens, following, strict=True):
            if slot.request is None or token != slot.next:
                return
            slot.held.append(token)
            self._take(slot, best)

    def _take(self, slot: _Slot, token: int) -> None:
        """The next token of an answer, or its end."""
        request = slot.request
        assert request is not None  # noqa: S101 - it has just been worked for
        if token in request.ends or slot.written == request.most:
            request.put(Over(cut=False))
            slot.request = None
            return
        request.put(token)
        slot.next = token
        slot.written += 1
        if slot.written == request.most:
            # The last that may be: whether it is the end is not worth another step.
            request.put(Over(cut=True))
            slot.request = None

    def _guarded(self, work: Callable[[list[_Slot]], None], slots: list[_Slot]) -> None:
        """A model that fails fails these answers, and no others; what it holds of them is not to be trusted."""
        try:
            work(slots)
        except Exception as error:
            log.exception("the language model failed")
            for slot in slots:
                if slot.request is not None:
                    slot.request.put(error)
                slot.request = None
                slot.held = []


def _give_way() -> None:
    """Only on Linux have threads a niceness of their own. It takes a privilege to have less of it again."""
    if sys.platform == "linux":
        thread = threading.get_native_id()
        with suppress(OSError):  # where a container forbids it, nobody gives way
            os.setpriority(os.PRIO_PROCESS, thread, os.getpriority(os.PRIO_PROCESS, thread) + _NICER)


def _common(held: Sequence[int], prompt: Sequence[int]) -> int:
    """How many tokens both begin with."""
    return next(
        (at for at, (one, other) in enumerate(zip(held, prompt, strict=False)) if one != other),
        min(len(held), len(prompt)),
    )
