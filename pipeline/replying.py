"""The one reply of a conversation that is under way, or may still be heard."""

from __future__ import annotations

import asyncio

from pipeline.history import History
from pipeline.lm.base import Message, ToolCall
from pipeline.reply import Reply
from pipeline.tasks import Spawn


class Replying:
    """A reply is started, by anybody and on any guess; it is under way from `begin` on, and then no other may be.

    The history has what was said of it: all that was sent, or what had been heard when it was ended.
    """

    def __init__(self, history: History, spawn: Spawn) -> None:
        self._history = history
        self._spawn = spawn
        self._reply: Reply | None = None
        """The newest that has begun; it may be heard even when all of it has been sent."""
        self._message: int | None = None
        """What the history has of it; None once the client has said what that is to be."""
        self._newest = 0
        """The number of what it put into the history last."""
        self._task: asyncio.Task[None] | None = None
        """It, while it is being made or sent."""
        self._cancelling = asyncio.Lock()
        """Held until the end of a reply that was cancelled has been told."""

    @property
    def active(self) -> bool:
        return self._task is not None

    @property
    def number(self) -> int | None:
        """Of the reply that is under way, if any is."""
        return self._reply.request.number if self._reply is not None and self.active else None

    @property
    def has_replied(self) -> bool:
        """There has been a reply at all."""
        return self._newest > 0

    @property
    def is_heard(self) -> bool:
        """It is being played by the caller's loudspeaker, as far as can be told from here, or has run dry meanwhile."""
        if self._reply is None:
            return False
        playback = self._reply.playback
        return playback.ahead_s > 0 or (self.active and playback.played_s > 0)

    def start(self, reply: Reply) -> asyncio.Task[None]:
        """Make it, unheard; cancel the task, or let it `begin`."""
        return self._spawn(self._run(reply))

    def begin(self, reply: Reply, making: asyncio.Task[None], after: int | None) -> None:
        """From now on it may be heard; `after` is the number of the message that it answers, None for the newest."""
        self._reply, self._task = reply, making
        self._message = self._newest = message = self._history.add(Message("assistant", ""), after=after)
        reply.release(message, self._keep_call)

    async def cancel(self) -> bool:
        """End it, if any is under way: nothing of it comes any more but its `ReplyDone`.

        Returns whether one was ended of which the caller had heard nothing.
        """
        async with self._cancelling:
            task, reply = self._task, self._reply
            if task is None or reply is None:
                return False
            task.cancel()
            await asyncio.wait([task])
            if not task.cancelled():
                return False  # it had come to its end already
            for call in await reply.withdraw():
                self._history.remove(call)
            unheard = not reply.playback.heard()
            self.remember_heard()
            self._task = None
            return unheard

    async def ended(self) -> None:
        """Wait until none is under way, and the end of it has been told."""
        if self._task is None:
            return
        await asyncio.wait([self._task])
        async with self._cancelling:
            pass

    def hold(self) -> None:
        """Send no more of its audio until `go_on`."""
        if self._reply is not None:
            self._reply.hold()

    def hold_briefly(self) -> None:
        """Until `go_on`, but only as long as nobody would hear it."""
        if self._reply is not None:
            self._reply.hold(self._reply.request.lead_s)

    def go_on(self) -> None:
        if self._reply is not None:
            self._reply.go_on()

    def truncate(self, message: int, heard: str) -> None:
        """Keep of a reply, this one or another, what the client says to have been heard."""
        self._history.amend(message, heard.strip())
        if message == self._message:
            self._message = None

    def remember_heard(self) -> None:
        """Keep of it what the caller has heard, as far as can be told from here, and no more."""
        if self._reply is not None:
            self._remember(self._reply.playback.heard())
            self._reply = None

    async def _run(self, reply: Reply) -> None:
        await reply.run()
        self._task = None
        self._remember(reply.playback.text)

    def _remember(self, text: str) -> None:
        if self._message is not None:
            self._history.amend(self._message, text.strip())

    def _keep_call(self, call: ToolCall) -> int:
        self._newest = self._history.add(Message("assistant", "", calls=(call,)), after=self._newest)
        return self._newest
