"""How a conversation behaves."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.languages import Language


@dataclass(frozen=True, slots=True)
class ConversationSettings:
    """Assign a new one to a conversation to change it from the next frame, turn or reply on.

    Attributes:
        languages: one is fixed; among several, the language is heard anew in every turn.
        instructions: the system prompt; None for the language's own.
        voice: a language that lacks it is spoken with its default voice; None for the default everywhere.
        speed: multiplies the tempo of speech.
        max_reply_tokens: None for the profile's.
        detect_turns: False is push to talk: turns end by `commit`.
        reply_to_turns: False transcribes only; replies come by `respond`.
        interrupt: whether a caller who speaks over a reply ends it; otherwise the next reply waits for its end.
        silence_limit_s: None for the profile's policy; a number ends the turn after that much silence.
        speak: False answers in text only.
    """

    languages: tuple[Language, ...] = tuple(Language)
    instructions: str | None = None
    voice: str | None = None
    speed: float = 1.0
    max_reply_tokens: int | None = None
    detect_turns: bool = True
    reply_to_turns: bool = True
    interrupt: bool = True
    silence_limit_s: float | None = None
    speak: bool = True
