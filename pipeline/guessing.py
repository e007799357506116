"""What is done ahead of time for a turn that may be over: its reply, or what the language model reads for it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.composing import Composer
from pipeline.engine import Engine
from pipeline.history import History
from pipeline.languages import Language
from pipeline.listening import Turn
from pipeline.lm.base import Message, Toolbox
from pipeline.reply import Reply
from pipeline.replying import Replying
from pipeline.settings import ConversationSettings
from pipeline.stopping import Stopped
from pipeline.stt.base import Transcript
from pipeline.tasks import Spawn

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Guess:
    """A reply begun while the end of its turn is still being decided, and what it took for granted."""

    reply: Reply
    making: asyncio.Task[None]
    transcript: Transcript
    settings: ConversationSettings
    history: int

    def holds(self, transcript: Transcript, settings: ConversationSettings, history: History) -> bool:
        """Whether what it took for granted has come true."""
        return self.transcript == transcript and self.settings is settings and self.history == history.version


class Guessing:
    """At most one guess at a time. It is heard only if its turn is committed, and what it took for granted holds."""

    def __init__(self, engine: Engine, composer: Composer, replying: Replying, history: History, spawn: Spawn) -> None:
        self._engine = engine
        self._composer = composer
        self._replying = replying
        self._history = history
        self._spawn = spawn
        self._guess: Guess | None = None
        self._preparing: asyncio.Task[None] | None = None

    def make(self, turn: Turn, settings: ConversationSettings) -> None:
        """Begin the reply to what is understood of a turn, if anything is; one that was made already is kept."""
        transcript = turn.transcript
        if self._guess is None and transcript is not None and transcript.text:
            unsaid = [Message("user", transcript.text)]
            reply = self._composer.reply(settings, transcript.language, turn, unsaid=unsaid)
            making = self._replying.start(reply)
            self._guess = Guess(reply, making, transcript, settings, self._history.version)

    def drop(self) -> None:
        """The turn is not over."""
        if (guess := self.take()) is not None:
            guess.making.cancel()

    def take(self) -> Guess | None:
        """The turn is over; what becomes of the guess is up to the caller."""
        guess, self._guess = self._guess, None
        return guess

    def prepare(self, transcript: Transcript, settings: ConversationSettings) -> None:
        """Have the language model read, ahead of time, what has been understood while the caller speaks."""
        if self._preparing is None or self._preparing.done():
            unsaid = [Message("user", transcript.text)]
            messages = self._composer.prompt(settings, transcript.language, unsaid=unsaid)
            self._preparing = self._spawn(self._prepare(messages, transcript.language, settings.toolbox))

    async def _prepare(self, messages: Sequence[Message], language: Language, toolbox: Toolbox) -> None:
        try:
            await self._engine.prepare_reply(messages, language, toolbox)
        except Stopped:
            return
        except Exception:
            log.exception("the language model failed at the beginning of a prompt")
