"""From a committed turn to the begin of its reply, in the order in which the turns were spoken."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from functools import partial

from pipeline.composing import Composer
from pipeline.events import Transcribed, TurnEmpty, TurnFailed
from pipeline.guessing import Guess
from pipeline.history import History
from pipeline.languages import Language
from pipeline.listening import Turn
from pipeline.lm.base import Message
from pipeline.outbox import Outbox
from pipeline.reply import Reply
from pipeline.replying import Replying
from pipeline.settings import ConversationSettings
from pipeline.tasks import Spawn

log = logging.getLogger(__name__)


class Answering:
    """Committed turns, each of which waits for the one before it.

    Args:
        settings: those in force.
        is_speaking: whether the caller is in the midst of another turn.
        limit_s: how long a transcription may take.
    """

    def __init__(
        self,
        composer: Composer,
        replying: Replying,
        history: History,
        outbox: Outbox,
        spawn: Spawn,
        *,
        settings: Callable[[], ConversationSettings],
        is_speaking: Callable[[], bool],
        limit_s: float,
    ) -> None:
        self._composer = composer
        self._replying = replying
        self._history = history
        self._outbox = outbox
        self._spawn = spawn
        self._settings = settings
        self._is_speaking = is_speaking
        self._limit_s = limit_s
        self._newest: asyncio.Task[None] | None = None
        """The newest committed turn, until its reply has begun."""
        self._spoken: Language | None = None
        self._again: Callable[[], object] | None = None
        """Makes the newest reply once more."""
        self._owed: Callable[[], object] | None = None
        """Makes the reply of which nothing was heard, because the caller went on speaking."""

    @property
    def spoken(self) -> Language | None:
        """The language of the newest turn."""
        return self._spoken

    @property
    def idle(self) -> bool:
        return self._newest is None or self._newest.done()

    async def settled(self) -> None:
        """Wait until every turn that is committed now is in the history, and its reply has begun."""
        if self._newest is not None:
            await asyncio.wait([self._newest])

    @property
    def language(self) -> Language:
        """In which a reply is that no turn asks for."""
        languages = self._settings().languages
        return self._spoken if self._spoken in languages else languages[0]

    def take(self, turn: Turn, transcribing: asyncio.Task[None], audio_s: float, guess: Guess | None) -> None:
        """A turn has been committed, and has its place in the history; `audio_s` is the length of its audio."""
        self._newest = self._spawn(self._finish(turn, transcribing, audio_s, guess, self._newest))

    def reply(self, settings: ConversationSettings, context: Sequence[Message] | None = None) -> int:
        """Begin a reply for which no turn asks, to the history as it stands or to the `context` in its place; returns
        its number."""
        reply = self._composer.reply(settings, self.language, None, context=context)
        self._begin(None, reply, self._replying.start(reply), again=lambda: self.reply(self._settings(), context))
        return reply.request.number

    async def put_off(self) -> None:
        """The caller speaks: end the reply that is under way; if nothing of it has been heard, it is owed."""
        if await self._replying.cancel():
            self._owed = self._again

    def make_up(self) -> None:
        """The caller who went on has said nothing after all: begin the reply that is owed, if any is."""
        if self.idle:  # otherwise it is made when a turn that is still being understood turns out to be nothing
            self._make_owed()

    async def _finish(
        self,
        turn: Turn,
        transcribing: asyncio.Task[None],
        audio_s: float,
        guess: Guess | None,
        turn_before: asyncio.Task[None] | None,
    ) -> None:
        if turn_before is not None:
            await asyncio.wait([turn_before])
        await self._in_time(transcribing)
        if (transcript := turn.transcript) is None:
            reason = "the speech to text failed, and this turn is lost; please say it again"
            await self._outbox.put(TurnFailed(turn.number, "speech_to_text", reason))
            self._make_owed()
            return
        if not transcript.text:
            await self._outbox.put(TurnEmpty(turn.number))
            self._make_owed()
            return
        if self._settings().interrupt:
            await self._replying.cancel()
        else:
            await self._replying.ended()
        held = guess is not None and guess.holds(transcript, self._settings(), self._history)
        self._spoken = transcript.language
        self._history.amend(turn.message, transcript.text)
        await self._outbox.put(Transcribed(turn.number, transcript.text, transcript.language, audio_s))
        # Whoever speaks again already had not finished; the reply will be to all of it.
        replies = self._settings().reply_to_turns
        wanted = replies and not self._is_speaking()
        self._owed = partial(self._answer_late, turn) if replies and not wanted else None
        if guess is not None and held and wanted:
            self._begin(turn, guess.reply, guess.making, again=partial(self._answer_late, turn))
            return
        if guess is not None:
            guess.making.cancel()
        if wanted:
            self._answer(turn)

    async def _in_time(self, transcribing: asyncio.Task[None]) -> None:
        done, _ = await asyncio.wait([transcribing], timeout=self._limit_s)
        if not done:
            transcribing.cancel()
            log.error("the speech to text took longer than %.0f s", self._limit_s)

    def _make_owed(self) -> None:
        if self._owed is None or self._is_speaking():
            return
        make, self._owed = self._owed, None
        if self._settings().reply_to_turns:
            make()

    def _answer_late(self, turn: Turn) -> None:
        turn.trace = turn.trace.until_reply()
        self._answer(turn)

    def _answer(self, turn: Turn) -> None:
        language = self.language if turn.transcript is None else turn.transcript.language
        reply = self._composer.reply(self._settings(), language, turn)
        self._begin(turn, reply, self._replying.start(reply), again=partial(self._answer_late, turn))

    def _begin(
        self, turn: Turn | None, reply: Reply, making: asyncio.Task[None], *, again: Callable[[], object]
    ) -> None:
        self._again, self._owed = again, None
        self._replying.begin(reply, making, None if turn is None else turn.message)
