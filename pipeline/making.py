"""The making of a reply: text leaves the language model by clause, and each is spoken while the next is being written.

`reply.py` decides when it is heard, but for the head start that is made of it first where others are answered too.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Coroutine, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias, TypeVar

from pipeline.audio import OUTPUT_RATE_HZ, FloatArray
from pipeline.clause_queue import ClauseQueue
from pipeline.engine import Engine
from pipeline.events import Trace
from pipeline.languages import Language
from pipeline.lm.base import CutOff, Message, Toolbox, ToolCall, Usage
from pipeline.playback import Clause, Playback
from pipeline.stopping import Stop

T = TypeVar("T")

_PIECE_S = 0.1
_SPARE = 3.0
"""So many times as long as at its fastest a clause may take to sound while others are being spoken."""
_LONGEST_LOOK_AHEAD_S = 0.5
"""No longer: what is being written may be code or a call, of which nothing is heard."""

_Stage: TypeAlias = Literal["language_model", "text_to_speech"]


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
class Piece:
    """Of a reply. `begins` is the clause which begins here, or None."""

    begins: Clause | None = None
    samples_24k: FloatArray | None = None
    call: ToolCall | None = None


class StageError(Exception):
    """A model failed; the cause is its own exception."""

    def __init__(self, stage: _Stage) -> None:
        super().__init__(stage)
        self.stage = stage


class Making:
    """Of one reply: `think` and `speak` in a task each, and fetch what they make with `next`.

    Args:
        playback: of the same reply: what is made must sound before all there was before it has been heard.
        sample_clock: the position in the caller's audio, for the trace.
    """

    def __init__(
        self, request: ReplyRequest, engine: Engine, playback: Playback, *, sample_clock: Callable[[], float]
    ) -> None:
        self._request = request
        self._engine = engine
        self._playback = playback
        self._sample_clock = sample_clock
        self._clock = asyncio.get_running_loop().time
        self._may_be_heard = False
        self._writing = Stop()
        """Of the language model."""
        self._made_s = 0.0
        self._sounds_after_s = math.inf
        """How soon a clause sounded: the least that was seen, for one may have waited for those of other replies."""
        self._head_start_s: Callable[[], float]
        self._head_start = asyncio.Event()
        """Enough of it has been made for it to be heard."""
        self._looks_ahead = False
        """It would have begun, and waits for how it goes on."""
        self._clauses = ClauseQueue(request.language)
        self._pieces: asyncio.Queue[Piece | None] = asyncio.Queue(
            round(engine.profile.text_to_speech.ahead_s / _PIECE_S)
        )
        self.usage = Usage(request.prompt_tokens, 0)
        self.cut = False
        """The language model was stopped before it had come to an end."""
        self._at_work: _Stage = "language_model"
        """What the next piece is waited for from."""

    def release(self) -> None:
        """From now on it may be heard, and what is not made in time leaves a gap."""
        self._may_be_heard = True
        self._clauses.ask_again()

    async def next(self) -> Piece | None:
        """What comes next of the reply; None when there is no more.

        Raises:
            StageError: of the model that keeps everybody waiting.
        """
        return await self._in_time(self._pieces.get())

    async def head_start(self) -> None:
        """Wait until so much has been made that it can be heard.

        Raises:
            StageError: of the model that keeps everybody waiting.
        """
        await self._in_time(self._head_start.wait())

    async def think(self) -> None:
        """Have the reply written.

        Raises:
            StageError: the language model failed.
        """
        request = self._request
        calls: list[ToolCall] = []
        try:
            answer = self._engine.reply(
                request.messages, request.language, request.max_tokens, request.toolbox, stop=self._writing
            )
            async with aclosing(answer) as pieces:
                async for piece in pieces:
                    if isinstance(piece, CutOff):
                        self.cut = True
                        continue
                    if isinstance(piece, Usage):
                        self.usage = piece
                        continue
                    self.usage = replace(self.usage, reply_tokens=self.usage.reply_tokens + 1)
                    if request.trace.first_token_s is None:
                        request.trace.first_token_s = self._sample_clock()
                    if isinstance(piece, ToolCall):
                        calls.append(piece)
                        continue
                    await self._clauses.write(piece)
                    self._begin_if_ahead()
        except Exception as error:
            raise StageError("language_model") from error
        self._clauses.end(calls)
        self._begin_if_ahead()

    async def speak(self) -> None:
        """Have what is written spoken.

        Raises:
            StageError: the synthesiser failed.
        """
        with self._engine.making_reply() as self._head_start_s:
            while (clause := await self._clauses.next(self._patience_s)) is not None:
                if isinstance(clause, ToolCall):
                    await self._put(Piece(call=clause))
                    continue
                if self._request.trace.first_clause_s is None:
                    self._request.trace.first_clause_s = self._sample_clock()
                unspoken: Clause | None = Clause(clause)
                if self._request.speak:
                    self._at_work = "text_to_speech"
                    unspoken = await self._speak_clause(clause)
                    self._at_work = "language_model"
                if unspoken is not None:
                    await self._put(Piece(unspoken))
        self._begin()
        await self._pieces.put(None)

    async def _put(self, piece: Piece) -> None:
        self._begin_if_ahead()
        await self._pieces.put(piece)

    def _begin_if_ahead(self) -> None:
        """Where others are being answered too, it begins with a head start, and when it is known how it goes on."""
        if self._head_start.is_set():
            return
        if self._pieces.full():  # no more can be made than there is room for
            self._begin()
        elif self._made_s > 0 and self._made_s >= (head_start_s := self._head_start_s()):
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
        if not (self._may_be_heard and self._head_start.is_set() and self._made_s):
            return None
        return max(0.0, self._made_s - self._playback.played_s - _SPARE * self._sounds_after_s)

    async def _speak_clause(self, text: str) -> Clause | None:
        """The text of a clause goes out with its first audio; returned is one in which nothing is audible.

        Until there is a first sound, nothing else of the reply matters: the language model would take time of the
        processor, or of its memory, from the synthesiser, and what it writes is spoken after that.
        """
        request = self._request
        clause = Clause(text)
        begins: Clause | None = clause
        asked_s = self._clock()
        due_s = asked_s + self._made_s - self._playback.played_s
        if not self._head_start.is_set():
            due_s += self._head_start_s()  # a later begin is a lesser evil than a gap in what others hear
        if not self._made_s:
            self._writing.pause()
        try:
            spoken = self._engine.speak(text, request.language, request.voice, request.speed, deadline_s=due_s)
            async with aclosing(spoken):
                async for samples_24k in spoken:
                    if request.trace.first_sample_s is None:
                        request.trace.first_sample_s = self._sample_clock()
                    self._writing.go_on()
                    if not clause.made_s:
                        self._sounds_after_s = min(self._sounds_after_s, self._clock() - asked_s)
                    self._made_s += samples_24k.size / OUTPUT_RATE_HZ
                    clause.made_s += samples_24k.size / OUTPUT_RATE_HZ
                    await self._put(Piece(begins, samples_24k))
                    begins = None
        except Exception as error:
            raise StageError("text_to_speech") from error
        finally:
            self._writing.go_on()
        return begins

    async def _in_time(self, made: Coroutine[Any, Any, T]) -> T:
        """What a model is to make. One that lets the caller wait for so long hangs."""
        try:
            async with asyncio.timeout(self._engine.profile.language_model.reply_limit_s):
                return await made
        except TimeoutError as error:
            raise StageError(self._at_work) from error
