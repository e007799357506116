"""One reply: text leaves the language model by clause, and each is spoken while the next is being written."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable, Coroutine, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias, TypeVar

from pipeline.audio import OUTPUT_RATE_HZ, FloatArray
from pipeline.clause_queue import ClauseQueue
from pipeline.engine import Engine
from pipeline.events import Event, ReplyAudio, ReplyCall, ReplyDone, ReplyStarted, ReplyText, Trace, TurnFailed
from pipeline.languages import Language
from pipeline.lm.base import CutOff, Message, Toolbox, ToolCall, Usage
from pipeline.outbox import Outbox
from pipeline.playback import Clause, Playback

T = TypeVar("T")

log = logging.getLogger(__name__)

_PIECE_S = 0.1
_CLOSE_ENOUGH_S = 0.001
_SPARE = 3.0
"""So many times as long as at its fastest a clause may take to sound while others are being spoken."""
_LONGEST_LOOK_AHEAD_S = 0.5
"""No longer: what is being written may be code or a call, of which nothing is heard."""
_LONGEST_HOLD_S = 5.0
"""Whoever is muted while the reply is held sends no audio any more by which it could be decided what becomes of it."""

_Stage: TypeAlias = Literal["language_model", "text_to_speech"]
_Status: TypeAlias = Literal["completed", "cancelled", "failed"]


@dataclass(frozen=True, slots=True)
class ReplyRequest:
    """What is to be answered, and how. `turn` is None for a reply that was asked for without speech."""

    number: int
    turn: int | None
    messages: Sequence[Message]
    prompt_tokens: int
    language: Language
    voice: str
    speed: float
    max_tokens: int
    speak: bool
    lead_s: float
    toolbox: Toolbox
    trace: Trace


@dataclass(frozen=True, slots=True)
class _Piece:
    """`begins` is the clause which begins here, or None."""

    begins: Clause | None = None
    samples_24k: FloatArray | None = None
    call: ToolCall | None = None


class _StageError(Exception):
    """A model failed; the cause is its own exception."""

    def __init__(self, stage: _Stage) -> None:
        super().__init__(stage)
        self.stage = stage


class Reply:
    """`run` it in a task. Nothing of it is told before `release`: it can be begun on a guess, and be cancelled unheard.

    A released reply ends with one `ReplyDone`: put by `run` itself, or by `withdraw` after a cancellation.

    Args:
        sample_clock: the position in the caller's audio, for the trace.
        on_sent: told of each piece of audio that is sent, and when the caller's loudspeaker begins to play it.
    """

    def __init__(
        self,
        request: ReplyRequest,
        engine: Engine,
        outbox: Outbox,
        *,
        sample_clock: Callable[[], float],
        on_sent: Callable[[FloatArray, float], None],
    ) -> None:
        self.request = request
        self._clock = asyncio.get_running_loop().time
        self.playback = Playback(request.language, self._clock)
        self._message: int | None = None
        self._keep_call: Callable[[ToolCall], int | None]
        self._untold_call: int | None = None
        """A call that is in the history, and still on its way into the outbox."""
        self._released = asyncio.Event()
        self._announced = asyncio.Event()
        self._flows = asyncio.Event()
        self._flows.set()
        self._held_until_s = 0.0
        self._engine = engine
        self._outbox = outbox
        self._sample_clock = sample_clock
        self._on_sent = on_sent
        self._made_s = 0.0
        self._sounds_after_s = math.inf
        """How soon a clause sounded: the least that was seen, for one may have waited for those of other replies."""
        self._head_start = asyncio.Event()
        """Enough of it has been made for it to be heard."""
        self._looks_ahead = False
        """It would have begun, and waits for how it goes on."""
        self._clauses = ClauseQueue(request.language)
        self._pieces: asyncio.Queue[_Piece | None] = asyncio.Queue(
            round(engine.profile.text_to_speech.ahead_s / _PIECE_S)
        )
        self._usage = Usage(request.prompt_tokens, 0)
        self._cut = False
        self._at_work: _Stage = "language_model"
        """What the next piece is waited for from."""

    def release(self, message: int | None, keep_call: Callable[[ToolCall], int | None]) -> None:
        """From now on it may be heard.

        Args:
            message: its number in the history; None if it is not kept there.
            keep_call: puts a tool call of it into the history, and returns its number there.
        """
        self._message = message
        self._keep_call = keep_call
        self._released.set()

    def hold(self, at_most_s: float = _LONGEST_HOLD_S) -> None:
        """Send no audio until `go_on`, or until the time is up: somebody speaks, and it is not clear yet whether that
        ends the reply."""
        self._held_until_s = self._clock() + at_most_s
        self._flows.clear()

    def go_on(self) -> None:
        self._flows.set()

    async def run(self) -> None:
        failed: _StageError | None = None
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._announce())
                tasks.create_task(self._think())
                tasks.create_task(self._make())
                tasks.create_task(self._send())
        except* _StageError as group:
            # Nothing is waited for in here: Python 3.11.2 wraps a cancellation into a group, where it is none any more.
            failed = next(error for error in group.exceptions if isinstance(error, _StageError))
        if failed is None:
            await self._tell(self._done("completed"))
            return
        if not self._announced.is_set():
            await self._announce()
        log.error("the %s failed in a reply", failed.stage, exc_info=failed.__cause__)
        reason = f"the {failed.stage.replace('_', ' ')} failed, and this reply ends here; the conversation goes on"
        await self._tell(TurnFailed(self.request.turn, failed.stage, reason, self.request.number))
        await self._tell(self._done("failed"))

    async def withdraw(self) -> list[int]:
        """After `run` was cancelled: take back what nobody has fetched, and end the reply.

        Returns the numbers in the history of the tool calls among it: nobody was asked for anything.
        """

        def unheard(event: Event) -> bool:
            return isinstance(event, ReplyText | ReplyAudio | ReplyCall) and event.reply == self.request.number

        taken = await self._outbox.drop(unheard)
        samples = sum(event.samples_24k.size for event in taken if isinstance(event, ReplyAudio))
        clauses = sum(isinstance(event, ReplyText) for event in taken)
        self.playback.take_back(samples / OUTPUT_RATE_HZ, clauses)
        if self._announced.is_set():
            await self._outbox.put(self._done("cancelled"))
        else:
            await self._outbox.put(self._started(), self._done("cancelled"))
        calls = [self._untold_call, *(event.message for event in taken if isinstance(event, ReplyCall))]
        return [message for message in calls if message is not None]

    async def _announce(self) -> None:
        await self._released.wait()
        await self._outbox.put(self._started())
        self._announced.set()
        self._clauses.ask_again()

    async def _tell(self, event: Event) -> None:
        await self._announced.wait()
        await self._outbox.put(event)

    async def _think(self) -> None:
        request = self.request
        calls: list[ToolCall] = []
        try:
            answer = self._engine.reply(request.messages, request.language, request.max_tokens, request.toolbox)
            async with aclosing(answer) as pieces:
                async for piece in pieces:
                    if isinstance(piece, CutOff):
                        self._cut = True
                        continue
                    if isinstance(piece, Usage):
                        self._usage = piece
                        continue
                    self._usage = replace(self._usage, reply_tokens=self._usage.reply_tokens + 1)
                    if request.trace.first_token_s is None:
                        request.trace.first_token_s = self._sample_clock()
                    if isinstance(piece, ToolCall):
                        calls.append(piece)
                        continue
                    await self._clauses.write(piece)
                    self._begin_if_ahead()
        except Exception as error:
            raise _StageError("language_model") from error
        self._clauses.end(calls)
        self._begin_if_ahead()

    async def _make(self) -> None:
        with self._engine.making_reply():
            while (clause := await self._clauses.next(self._patience_s)) is not None:
                if isinstance(clause, ToolCall):
                    await self._put(_Piece(call=clause))
                    continue
                if self.request.trace.first_clause_s is None:
                    self.request.trace.first_clause_s = self._sample_clock()
                unspoken: Clause | None = Clause(clause)
                if self.request.speak:
                    self._at_work = "text_to_speech"
                    unspoken = await self._speak(clause)
                    self._at_work = "language_model"
                if unspoken is not None:
                    await self._put(_Piece(unspoken))
        self._begin()
        await self._pieces.put(None)

    async def _put(self, piece: _Piece) -> None:
        self._begin_if_ahead()
        await self._pieces.put(piece)

    def _begin_if_ahead(self) -> None:
        """Where others are being answered too, it begins with a head start, and when it is known how it goes on."""
        if self._head_start.is_set():
            return
        head_start_s = self._engine.head_start_s()
        if self._pieces.full():  # no more can be made than there is room for
            self._begin()
        elif self._made_s > 0 and self._made_s >= head_start_s:
            if not head_start_s or self._clauses.goes_on:
                self._begin()
            elif not self._looks_ahead:
                self._looks_ahead = True
                asyncio.get_running_loop().call_later(_LONGEST_LOOK_AHEAD_S, self._begin)

    def _begin(self) -> None:
        self._head_start.set()
        self._clauses.ask_again()

    def _patience_s(self) -> float | None:
        """For how long the rest of a clause can be waited for: until it would sound too late to be heard without a gap.

        For ever as long as nothing is heard: words in their clause sound better.
        """
        if not (self._announced.is_set() and self._head_start.is_set() and self._made_s):
            return None
        return max(0.0, self._made_s - self.playback.played_s - _SPARE * self._sounds_after_s)

    async def _speak(self, text: str) -> Clause | None:
        """The text of a clause goes out with its first audio; returned is one in which nothing is audible."""
        request = self.request
        clause = Clause(text)
        begins: Clause | None = clause
        asked_s = self._clock()
        due_s = asked_s + self._made_s - self.playback.played_s
        if not self._head_start.is_set():
            due_s += self._engine.head_start_s()  # a later begin is a lesser evil than a gap in what others hear
        try:
            spoken = self._engine.speak(text, request.language, request.voice, request.speed, deadline_s=due_s)
            async with aclosing(spoken):
                async for samples_24k in spoken:
                    if request.trace.first_sample_s is None:
                        request.trace.first_sample_s = self._sample_clock()
                    if not clause.made_s:
                        self._sounds_after_s = min(self._sounds_after_s, self._clock() - asked_s)
                    self._made_s += samples_24k.size / OUTPUT_RATE_HZ
                    clause.made_s += samples_24k.size / OUTPUT_RATE_HZ
                    await self._put(_Piece(begins, samples_24k))
                    begins = None
        except Exception as error:
            raise _StageError("text_to_speech") from error
        return begins

    async def _send(self) -> None:
        while (piece := await self._in_time(self._pieces.get())) is not None:
            await self._announced.wait()
            if piece.samples_24k is not None:
                await self._in_time(self._head_start.wait())
                await self._wait_for_room()
            if piece.begins is not None:
                self.playback.begin(piece.begins)
                await self._outbox.put(ReplyText(self.request.number, piece.begins.text))
            if piece.samples_24k is not None:
                begins_at_s = self.playback.sent(piece.samples_24k.size / OUTPUT_RATE_HZ)
                self._on_sent(piece.samples_24k, begins_at_s)
                await self._outbox.put(ReplyAudio(self.request.number, piece.samples_24k))
            if piece.call is not None:
                self._untold_call = self._keep_call(piece.call)
                await self._outbox.put(ReplyCall(self.request.number, piece.call, self._untold_call))
                self._untold_call = None

    async def _in_time(self, made: Coroutine[Any, Any, T]) -> T:
        """What a model is to make. One that lets the caller wait for so long hangs."""
        try:
            async with asyncio.timeout(self._engine.profile.language_model.reply_limit_s):
                return await made
        except TimeoutError as error:
            raise _StageError(self._at_work) from error

    async def _wait_for_room(self) -> None:
        """What was sent too far ahead could not be taken back from a caller who interrupts."""
        await self._wait_for_go()
        while (excess_s := self.playback.ahead_s - self.request.lead_s) > _CLOSE_ENOUGH_S:
            await asyncio.sleep(excess_s)
            await self._wait_for_go()

    async def _wait_for_go(self) -> None:
        while not self._flows.is_set():
            left_s = self._held_until_s - self._clock()
            if left_s <= 0:
                self.go_on()
                return
            with suppress(TimeoutError):  # it may be held for longer by then
                async with asyncio.timeout(left_s):
                    await self._flows.wait()

    def _started(self) -> ReplyStarted:
        return ReplyStarted(self.request.number, self.request.turn, self.request.language, self._message)

    def _done(self, status: _Status) -> ReplyDone:
        request = self.request
        return ReplyDone(
            reply=request.number,
            turn=request.turn,
            status=status,
            text=self.playback.text,
            heard=self.playback.heard(),
            cut=self._cut,
            language=request.language,
            prompt_tokens=self._usage.prompt_tokens,
            reply_tokens=self._usage.reply_tokens,
            trace=request.trace,
        )
