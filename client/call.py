"""A call: conversations with one server, one after the other where the connection is lost."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import TypeAlias

from client.backoff import STEADY_S, Backoff
from client.connection import UnavailableError
from client.conversation import Conversation, Question, Session, State, View
from client.events import Disconnected, Failed
from client.sound_card import SoundCard

Dial: TypeAlias = Callable[[float], AbstractAsyncContextManager[Session]]
"""A client that waits for so many seconds while the server loads."""


class CallFailedError(RuntimeError):
    """The call ended before it should; the message says why."""


@dataclass(slots=True)
class Tally:
    """What came of a call."""

    turns: int = 0
    gaps: int = 0
    underruns: int = 0
    overruns: int = 0


class Call:
    """Args:
    dial: a client for the server, to be entered.
    card: opened for each conversation; the microphone is off between two.
    rate_hz: of the audio, both ways.
    question: ask this, hear the answer, hang up; None for a live call.
    patience_s: how long a server that loads is waited for, and one that was lost.
    chance: draws from [0, 1).
    """

    def __init__(
        self,
        dial: Dial,
        card: SoundCard,
        view: View,
        *,
        rate_hz: int,
        patience_s: float,
        question: Question | None = None,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._dial = dial
        self._card = card
        self._view = view
        self._rate_hz = rate_hz
        self._patience_s = patience_s
        self._question = question
        self._chance = chance
        self._conversation: Conversation | None = None
        self.tally = Tally()

    @property
    def levels(self) -> tuple[float, float]:
        """Of microphone and loudspeaker, root mean square, in [0, 1]."""
        if self._conversation is None:
            return 0.0, 0.0
        return self._conversation.microphone.level, self._conversation.loudspeaker.level

    async def run(self) -> None:
        """Talk until the server says goodbye, a question is answered, or this is cancelled.

        The server that cannot be reached at first is an error; one that is lost is dialled again where that may help.

        Raises:
            UnavailableError: there is no connection, or none any more.
            SoundCardError: the card cannot be opened.
            CallFailedError: the question has no answer, the card is gone, or the server does not want to go on.
        """
        loop = asyncio.get_running_loop()
        backoff: Backoff | None = None
        while True:
            self._view.state(State.CONNECTING)
            asked_s: float | None = None
            try:
                async with self._dial(0.0 if backoff else self._patience_s) as session:
                    if backoff:
                        self._view.note("connected again; the server does not remember what was said before")
                    began_s = loop.time()
                    lost = await self._converse(session)
                    if backoff is None or loop.time() - began_s >= STEADY_S:
                        backoff = Backoff(self._patience_s, self._chance)
            except UnavailableError as error:
                if backoff is None or not error.passing:
                    raise
                why, asked_s = str(error), error.retry_after_s
            else:
                if lost is None:
                    return
                if self._question or not isinstance(lost, Disconnected) or not lost.again:
                    raise CallFailedError(lost.reason)
                why = lost.reason
            self._view.state(State.WAITING)
            pause_s = backoff.next_pause_s(asked_s)
            if pause_s is None:
                raise UnavailableError(f"{why}; given up after {self._patience_s:.0f} s of trying again")
            self._view.trouble(f"{why}; trying again in {pause_s:.1f} s")
            await asyncio.sleep(pause_s)

    async def _converse(self, session: Session) -> Failed | None:
        conversation = Conversation(session, self._card, self._view, rate_hz=self._rate_hz, question=self._question)
        self._conversation = conversation
        try:
            return await conversation.run()
        finally:
            self._conversation = None
            self.tally.turns += conversation.turns
            self.tally.gaps += conversation.loudspeaker.gaps
            self.tally.underruns += conversation.loudspeaker.underruns
            self.tally.overruns += conversation.microphone.overruns
