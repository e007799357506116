"""One reply: text leaves the language model by clause, and each is spoken while the next is being written."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Literal

from pipeline.clauses import ClauseSplitter
from pipeline.engine import Engine
from pipeline.events import Event, ReplyAudio, ReplyDone, ReplyStarted, ReplyText, Trace, TurnFailed
from pipeline.languages import Language
from pipeline.lm.base import Message
from pipeline.outbox import Outbox

log = logging.getLogger(__name__)

_CLAUSES_AHEAD = 2


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
    trace: Trace


class _StageError(Exception):
    """A model failed; the cause is its own exception."""

    def __init__(self, stage: Literal["language_model", "text_to_speech"]) -> None:
        super().__init__(stage)
        self.stage = stage


class Reply:
    """`run` it in a task. Nothing of it is told before `release`: it can be begun on a guess, and be cancelled unheard.

    A released reply ends with one `ReplyDone`: put by `run` itself, or by `withdraw` after a cancellation.
    """

    def __init__(self, request: ReplyRequest, engine: Engine, outbox: Outbox, now_s: Callable[[], float]) -> None:
        self.text = ""
        """What was handed over to be spoken."""
        self._released = asyncio.Event()
        self._announced = asyncio.Event()
        self._request = request
        self._engine = engine
        self._outbox = outbox
        self._now_s = now_s
        self._tokens = 0

    def release(self) -> None:
        """From now on it may be heard."""
        self._released.set()

    async def run(self) -> None:
        clauses: asyncio.Queue[str | None] = asyncio.Queue(_CLAUSES_AHEAD)
        failed: _StageError | None = None
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._announce())
                tasks.create_task(self._think(clauses))
                tasks.create_task(self._say(clauses))
        except* _StageError as group:
            failed = next(error for error in group.exceptions if isinstance(error, _StageError))
            await self._announce()
        if failed is None:
            await self._tell(self._done("completed"))
            return
        log.error("the %s failed in a reply", failed.stage, exc_info=failed.__cause__)
        reason = f"the {failed.stage.replace('_', ' ')} failed, and this reply ends here; the conversation goes on"
        await self._tell(TurnFailed(self._request.turn, failed.stage, reason))
        await self._tell(self._done("failed"))

    async def withdraw(self) -> None:
        """After `run` was cancelled: take back what nobody has fetched, and end the reply."""

        def unheard(event: Event) -> bool:
            return isinstance(event, ReplyText | ReplyAudio) and event.reply == self._request.number

        for event in await self._outbox.drop(unheard):
            if isinstance(event, ReplyText):
                self.text = self.text[: -len(event.text)]
        if self._announced.is_set():
            await self._outbox.put(self._done("cancelled"))
        else:
            await self._outbox.put(self._started(), self._done("cancelled"))

    async def _announce(self) -> None:
        await self._released.wait()
        await self._outbox.put(self._started())
        self._announced.set()

    async def _tell(self, event: Event) -> None:
        await self._announced.wait()
        await self._outbox.put(event)

    def _started(self) -> ReplyStarted:
        return ReplyStarted(self._request.number, self._request.turn, self._request.language)

    async def _think(self, clauses: asyncio.Queue[str | None]) -> None:
        request = self._request
        splitter = ClauseSplitter(request.language)
        try:
            async with aclosing(self._engine.reply(request.messages, request.language, request.max_tokens)) as pieces:
                async for piece in pieces:
                    self._tokens += 1
                    if request.trace.first_token_s is None:
                        request.trace.first_token_s = self._now_s()
                    for clause in splitter.push(piece):
                        await clauses.put(clause)
        except Exception as error:
            raise _StageError("language_model") from error
        for clause in splitter.finish():
            await clauses.put(clause)
        await clauses.put(None)

    async def _say(self, clauses: asyncio.Queue[str | None]) -> None:
        request = self._request
        while (clause := await clauses.get()) is not None:
            if request.trace.first_clause_s is None:
                request.trace.first_clause_s = self._now_s()
            if request.speak:
                await self._speak(clause)
            else:
                await self._hand_over(clause)

    async def _speak(self, clause: str) -> None:
        """The text of a clause goes out with its first audio, so that what the history keeps could have been heard."""
        request = self._request
        handed_over = False
        try:
            async with aclosing(self._engine.speak(clause, request.language, request.voice, request.speed)) as pieces:
                async for samples_24k in pieces:
                    if request.trace.first_sample_s is None:
                        request.trace.first_sample_s = self._now_s()
                    if not handed_over:
                        handed_over = True
                        await self._hand_over(clause)
                    await self._tell(ReplyAudio(request.number, samples_24k))
        except Exception as error:
            raise _StageError("text_to_speech") from error
        if not handed_over:
            await self._hand_over(clause)

    async def _hand_over(self, clause: str) -> None:
        await self._tell(ReplyText(self._request.number, clause))
        self.text += clause

    def _done(self, status: Literal["completed", "cancelled", "failed"]) -> ReplyDone:
        request = self._request
        return ReplyDone(
            reply=request.number,
            turn=request.turn,
            status=status,
            text=self.text,
            language=request.language,
            prompt_tokens=request.prompt_tokens,
            reply_tokens=self._tokens,
            trace=request.trace,
        )
