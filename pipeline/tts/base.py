"""Text to speech, as the engine sees it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from pipeline.audio import FloatArray
from pipeline.languages import Language


class TextToSpeech(Protocol):
    """Called from one worker thread, one clause at a time."""

    voices: dict[Language, tuple[str, ...]]
    """The voices of each language it speaks, the default first."""

    def speak(self, text: str, language: Language, voice: str, speed: float = 1.0) -> Iterator[FloatArray]:
        """Synthesise one clause: pieces of float32 mono in [-1, 1], 24 kHz. Closing the iterator stops it.

        `voice` is one of `voices[language]`; `speed` multiplies the tempo. Yields nothing for a text without words.
        """
        ...
