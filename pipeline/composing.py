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
from pipeline.outbox import Outbox
from pipeline.reply import Reply, ReplyRequest
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
        instructions: str | None = None,
        unsaid: Sequence[Message] = (),
    ) -> list[Message]:
        """The history as the language model is told it. What is `unsaid` comes after all that was said."""
        if instructions is None:
            own = settings.instructions
            instructions = TRAITS[language].instructions if own is None else own
        budget = self._engine.profile.language_model.history_tokens
        count_tokens = partial(self._engine.count_tokens, language=language)
        return self._history.prompt(instructions, budget, count_tokens, unsaid=unsaid)

    def reply(
        self,
        settings: ConversationSettings,
        language: Language,
        turn: Turn | None,
        *,
        instructions: str | None = None,
        speak: bool | None = None,
        unsaid: Sequence[Message] = (),
    ) -> Reply:
        """A reply to the history as it stands. None for `instructions` and `speak` is what the settings say."""
        messages = self.prompt(settings, language, instructions=instructions, unsaid=unsaid)
        self._replies += 1
        request = ReplyRequest(
            number=self._replies,
            turn=None if turn is None else turn.number,
            messages=messages,
            prompt_tokens=sum(self._engine.count_tokens(message.text, language) for message in messages),
            language=language,
            voice=self._engine.voice(language, settings.voice),
            speed=settings.speed,
            max_tokens=settings.max_reply_tokens or self._engine.profile.language_model.max_reply_tokens,
            speak=settings.speak if speak is None else speak,
            trace=Trace() if turn is None else turn.trace,
        )
        return Reply(request, self._engine, self._outbox, sample_clock=self._sample_clock, on_sent=self._on_sent)
