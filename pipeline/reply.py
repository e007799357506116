"""One reply: what is told of it and when, what becomes of it, and what of it has been heard."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from typing import Literal, TypeAlias

from pipeline.audio import OUTPUT_RATE_HZ, FloatArray
from pipeline.engine import Engine
from pipeline.events import Event, ReplyAudio, ReplyCall, ReplyDone, ReplyStarted, ReplyText, TurnFailed
from pipeline.lm.base import ToolCall
from pipeline.making import Making, ReplyRequest, StageError
from pipeline.outbox import Outbox
from pipeline.playback import Playback

log = logging.getLogger(__name__)

_CLOSE_ENOUGH_S = 0.001
_LONGEST_HOLD_S = 5.0
"""Whoever is muted while the reply is held sends no audio any more by which it could be decided what becomes of it."""

_Status: TypeAlias = Literal["completed", "cancelled", "failed"]


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
        self._outbox = outbox
        self._on_sent = on_sent
        self._making = Making(request, engine, self.playback, sample_clock=sample_clock)

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
        failed: StageError | None = None
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._announce())
                tasks.create_task(self._making.think())
                tasks.create_task(self._making.speak())
                tasks.create_task(self._send())
        except* StageError as group:
            # Nothing is waited for in here: Python 3.11.2 wraps a cancellation into a group, where it is none any more.
            failed = next(error for error in group.exceptions if isinstance(error, StageError))
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
        self._making.release()

    async def _tell(self, event: Event) -> None:
        await self._announced.wait()
        await self._outbox.put(event)

    async def _send(self) -> None:
        while (piece := await self._making.next()) is not None:
            await self._announced.wait()
            if piece.samples_24k is not None:
                await self._making.head_start()
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
            cut=self._making.cut,
            language=request.language,
            prompt_tokens=self._making.usage.prompt_tokens,
            reply_tokens=self._making.usage.reply_tokens,
            trace=request.trace,
        )
