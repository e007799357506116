"""How a conversation behaves."""

from __future__ import annotations

from dataclasses import dataclass, replace

from pipeline.languages import Language
from pipeline.lm.base import NO_TOOLS, Toolbox
from pipeline.profiles import TurnProfile


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
        patience: multiplies the silences of that policy.
        speech_threshold: the probability at which a frame counts as speech; None for the profile's.
        prefix_s: how much audio from before its onset belongs to a turn; None for the profile's.
        idle_timeout_s: so much silence after a reply brings another one; None for never.
        speak: False answers in text only.
        lead_s: how far a reply is sent ahead of the caller's loudspeaker; None for the profile's.
        toolbox: what the language model may call.
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
    patience: float = 1.0
    speech_threshold: float | None = None
    prefix_s: float | None = None
    idle_timeout_s: float | None = None
    speak: bool = True
    lead_s: float | None = None
    toolbox: Toolbox = NO_TOOLS

    def turn_taking(self, profile: TurnProfile) -> TurnProfile:
        """How turns are taken under these settings."""
        threshold = profile.speech_threshold if self.speech_threshold is None else self.speech_threshold
        return replace(
            profile,
            speech_threshold=threshold,
            silence_threshold=threshold * profile.silence_threshold / profile.speech_threshold,
            stir_threshold=threshold * profile.stir_threshold / profile.speech_threshold,
            waits=self._stretched(profile.waits),
            waits_of_three=self._stretched(profile.waits_of_three),
            longest_wait_s=profile.longest_wait_s * self.patience,
            prefix_s=profile.prefix_s if self.prefix_s is None else self.prefix_s,
        )

    def _stretched(self, waits: tuple[tuple[float, float], ...]) -> tuple[tuple[float, float], ...]:
        return tuple((least, silence_s * self.patience) for least, silence_s in waits)
