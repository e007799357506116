"""Text to speech, as the engine sees it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from pipeline.audio import FloatArray
from pipeline.languages import Language
from pipeline.stopping import Stop


class TextToSpeech(Protocol):
    """Called from one worker thread, one clause at a time."""

    voices: dict[Language, tuple[str, ...]]
    """The voices of each language it speaks, the default first."""

    def speak(self, text: str, language: Language, voice: str, *, speed: float, stop: Stop) -> Iterator[FloatArray]:
        """Synthesise one clause: pieces of float32 mono in [-1, 1], 24 kHz. Yields nothing for a text without words.

        Args:
            text: as it is written.
            language: of the text.
            voice: one of `voices[language]`.
            speed: multiplies the tempo.
            stop: to be looked at often.

        Raises:
            Stopped: told to stop.
        """
        ...
