"""From what has been said, and the settings, to a prompt and to a reply that can be made."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from pipeline.audio import FloatArray
from pipeline.engine import Engine
from pipeline.events import Trace
from pipeline.history import History
from pipeline.languages import TRAITS, Language
from pipeline.listening import Turn
from pipeline.lm.base import Message
from pipeline.making import ReplyRequest
from pipeline.outbox import Outbox
from pipeline.reply import Reply
from pipeline.settings import ConversationSettings


class Composer:
    """Of one conversation, whose replies it numbers from 1.

    Args:
        sample_clock: the position in the caller's audio.
        on_sent: told of each piece of audio that is sent, and when the caller's loudspeaker begins to play it.
    """

    def __init__(
        self,
        engine: Engine,
        history: History,
        outbox: Outbox,
        *,
        sample_clock: Callable[[], float],
        on_sent: Callable[[FloatArray, float], None],
    ) -> None:
        self._engine = engine
        self._history = history
        self._outbox = outbox
        self._sample_clock = sample_clock
        self._on_sent = on_sent
        self._replies = 0

    def prompt(
        self,
        settings: ConversationSettings,
        language: Language,
        *,
        context: Sequence[Message] | None = None,
        unsaid: Sequence[Message] = (),
    ) -> list[Message]:
        """What the language model is told: the history, or the `context` in its place; what is `unsaid` comes after."""
        own = settings.instructions
        instructions = TRAITS[language].instructions if own is None else own
        count_tokens = partial(self._engine.count_tokens, language=language)
        budget = self._engine.profile.language_model.history_tokens - count_tokens(settings.toolbox.written)
        history = self._history if context is None else History(context)
        return history.prompt(instructions, budget, count_tokens, unsaid=unsaid)

    def reply(
        self,
        settings: ConversationSettings,
        language: Language,
        turn: Turn | None,
        *,
        context: Sequence[Message] | None = None,
        unsaid: Sequence[Message] = (),
    ) -> Reply:
        """A reply to the history as it stands, or to the `context` in its place."""
        messages = self.prompt(settings, language, context=context, unsaid=unsaid)
        written = [settings.toolbox.written, *(message.written for message in messages)]
        self._replies += 1
        request = ReplyRequest(
            number=self._replies,
            turn=None if turn is None else turn.number,
            messages=messages,
            prompt_tokens=sum(self._engine.count_tokens(text, language) for text in written if text),
            language=language,
            voice=self._engine.voice(language, settings.voice),
            speed=settings.speed,
            max_tokens=settings.max_reply_tokens or self._engine.profile.language_model.max_reply_tokens,
            speak=settings.speak,
            lead_s=self._engine.profile.text_to_speech.lead_s if settings.lead_s is None else settings.lead_s,
            toolbox=settings.toolbox,
            trace=Trace() if turn is None else turn.trace,
        )
        return Reply(request, self._engine, self._outbox, sample_clock=self._sample_clock, on_sent=self._on_sent)
