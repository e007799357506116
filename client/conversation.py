"""One conversation over one connection: what the microphone hears goes out, what the server says is played."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from enum import StrEnum
from typing import Any, Protocol

from client.connection import DisconnectedError
from client.events import (
    Disconnected,
    Failed,
    Heard,
    ReplyAudio,
    ReplyEnded,
    ServerEvent,
    SpeechStarted,
    SpeechStopped,
    Spoken,
)
from client.loudspeaker import Began, Loudspeaker, Note
from client.microphone import FRAME_S, Microphone
from client.play import Exchange
from client.sound_card import SoundCard

STALLED_S = 10.0
"""A server that has read nothing for so long is as good as gone."""


class State(StrEnum):
    """What is going on, as whoever talks is told it."""

    CONNECTING = "connecting"
    LISTENING = "listening"
    HEARING = "you are speaking"
    THINKING = "thinking"
    REPLYING = "replying"
    WAITING = "disconnected"


class Session(Protocol):
    """A conversation under way, over whichever protocol."""

    @property
    def full_duplex(self) -> bool:
        """The server listens while a reply is played."""
        ...

    async def send(self, pcm16: bytes) -> None:
        """Send one frame of the microphone. Raises `DisconnectedError`: it is over, and `events` says why."""
        ...

    async def truncate(self, item: str, heard_ms: int) -> None:
        """Say how much was heard of a reply that is not played any further. Raises as `send` does."""
        ...

    def events(self) -> AsyncIterator[ServerEvent]:
        """What comes back, as it arrives; ends when the server closes."""
        ...


class View(Protocol):
    """Whoever shows a call, or writes it down. Everything is said in the event loop."""

    def state(self, state: State) -> None: ...

    def you_said(self, text: str) -> None:
        """A turn of the caller's, as the server has heard it; empty where it heard no words."""
        ...

    def reply_said(self, text: str) -> None:
        """More of the text of the reply."""
        ...

    def first_sound(self, seconds: float | None) -> None:
        """The reply is heard, so long after the caller's last word, or after the end of the recording.

        None where the server does not say when that was.
        """
        ...

    def reply_over(self, cut_at_s: float | None) -> None:
        """The reply has been played, or was cut after so much of it; after a cut both may be said."""
        ...

    def trouble(self, text: str) -> None:
        """Something went wrong."""
        ...

    def note(self, text: str) -> None:
        """Something to know."""
        ...


class Question:
    """A recording that is asked instead of a live conversation.

    Args:
        length_s: of the recording.
        limit_s: how long an answer may take to begin, and fall silent.
    """

    def __init__(self, length_s: float, limit_s: float) -> None:
        self.length_s = length_s
        self.limit_s = limit_s
        self.exchange = Exchange(length_s, length_s, limit_s)


class Conversation:
    """Made for one session, and run once.

    Args:
        rate_hz: of the audio, both ways.
        question: the microphone plays a recording, and the answer ends the conversation; None for a live one.

    Attributes:
        microphone, loudspeaker: for their levels and counts.
        turns: how many replies were heard.
    """

    def __init__(
        self, session: Session, card: SoundCard, view: View, *, rate_hz: int, question: Question | None = None
    ) -> None:
        self._session = session
        self._card = card
        self._view = view
        self._question = question
        self._loop = asyncio.get_running_loop()
        self._began_s = self._loop.time()
        self.microphone = Microphone(card.microphone_hz, rate_hz)
        self.loudspeaker = Loudspeaker(card.loudspeaker_hz, rate_hz, self._sounded)
        self.turns = 0
        self._card_lost: asyncio.Future[str] = self._loop.create_future()
        self._hearing = False
        self._thinking = False
        self._replying = False
        """The server has begun a reply and not ended it."""
        self._to_play_out = False
        """A reply has been ended, and is being played still."""
        self._sent_s = 0.0
        self._sent_at_s = self._began_s
        self._turn_ended_s: float | None = None if question is None else self._began_s + question.length_s

    async def run(self) -> Failed | None:
        """Converse until the connection is lost, which is said with `Disconnected`, or the answer has been heard.

        Returns what went wrong; None where nothing did.

        Raises:
            SoundCardError: the card cannot be opened.
        """
        with self._card.open(self.microphone.hear, self.loudspeaker.give, self._lose_card):
            self._show()
            listening = asyncio.create_task(self._listen(), name="listening")
            speaking = asyncio.create_task(self._speak(), name="speaking")
            first: set[asyncio.Future[Any]] = {listening, speaking, self._card_lost}
            try:
                await asyncio.wait(first, return_when=asyncio.FIRST_COMPLETED)
                if self._card_lost.done():
                    return Failed(self._card_lost.result())
                try:
                    failed = speaking.result() if speaking.done() else await listening
                except DisconnectedError:
                    failed = await listening  # which knows why
                if failed is None and self._question:
                    await self._play_out()
                return failed
            finally:
                listening.cancel()
                speaking.cancel()
                await asyncio.wait({listening, speaking})
                for cut in self.loudspeaker.flush():
                    self._view.reply_over(cut.heard_ms / 1_000)

    async def _speak(self) -> Failed | None:
        """Send what is recorded; returns when a recording has been answered."""
        async for frame in self.microphone.frames():
            if self._question and self._question.exchange.is_over(self._loop.time() - self._began_s):
                if self._question.exchange.reply_under_way:
                    return Failed(f"the reply fell silent for {self._question.limit_s:.0f} s without ending")
                return None
            if not self._session.full_duplex and (self._replying or self.loudspeaker.busy):
                continue
            try:
                async with asyncio.timeout(STALLED_S):
                    await self._session.send(frame)
            except TimeoutError:
                return Disconnected(f"the server has read nothing for {STALLED_S:.0f} s", again=True)
            self._sent_s += FRAME_S
            self._sent_at_s = self._loop.time()
        raise AssertionError("a microphone has no end")

    async def _play_out(self) -> None:
        async for _ in self.microphone.frames():
            if not self.loudspeaker.busy:
                self._finish_reply()
                return

    async def _listen(self) -> Failed | None:
        async for event in self._session.events():
            if self._question:
                self._question.exchange.note(self._loop.time() - self._began_s, event)
            if isinstance(event, Disconnected) or (isinstance(event, Failed) and self._question):
                return event
            await self._take(event)
            self._show()
        if self._question and not self._question.exchange.is_over(self._loop.time() - self._began_s):
            return Failed("the server closed the connection before its reply had ended")
        return None

    async def _take(self, event: ServerEvent) -> None:
        match event:
            case SpeechStarted():
                self._hearing, self._thinking = True, False
                await self._cut()
            case SpeechStopped(at_s):
                self._hearing, self._thinking = False, True
                if at_s is not None and self._question is None:
                    self._turn_ended_s = self._sent_at_s - (self._sent_s - at_s)
            case Heard(text):
                self._view.you_said(text)
                self._thinking = self._thinking and bool(text)
            case Spoken(text):
                self._finish_reply()
                self._replying = True
                self._view.reply_said(text)
            case ReplyAudio(pcm, item):
                self._replying = True
                self.loudspeaker.play(item, pcm)
            case ReplyEnded(cancelled=cancelled):
                self._replying = self._thinking = False
                self.loudspeaker.end()
                if cancelled:
                    await self._cut()
                self._to_play_out = True
                if not self.loudspeaker.busy:
                    self._finish_reply()
            case Failed(reason):
                self._thinking = False
                self._view.trouble(reason)

    async def _cut(self) -> None:
        """Silence what is played, and tell the server how much of it was heard."""
        for cut in self.loudspeaker.flush():
            self._to_play_out = False
            self._view.reply_over(cut.heard_ms / 1_000)
            if cut.item:
                with suppress(DisconnectedError):  # of which the next event says why
                    await self._session.truncate(cut.item, cut.heard_ms)

    def _finish_reply(self) -> None:
        if self._to_play_out:
            self._to_play_out = False
            self._view.reply_over(None)

    def _sounded(self, note: Note) -> None:
        if not self.loudspeaker.busy:
            self._finish_reply()
        if isinstance(note, Began):
            self.turns += 1
            self._thinking = False
            ended_s, self._turn_ended_s = self._turn_ended_s, None
            self._view.first_sound(None if ended_s is None else note.at_s - ended_s)
        self._show()

    def _show(self) -> None:
        if self.loudspeaker.busy:
            state = State.REPLYING
        elif self._hearing:
            state = State.HEARING
        elif self._thinking:
            state = State.THINKING
        else:
            state = State.LISTENING
        self._view.state(state)

    def _lose_card(self, why: str) -> None:
        def lose() -> None:
            if not self._card_lost.done():
                self._card_lost.set_result(why)

        self._loop.call_soon_threadsafe(lose)
