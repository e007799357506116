"""Speech to text, as the engine sees it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from pipeline.audio import FloatArray
from pipeline.languages import Language


@dataclass(frozen=True, slots=True)
class Transcript:
    """`text` is stripped, and empty where no words were found."""

    text: str
    language: Language


class SpeechToText(Protocol):
    """Called from one worker thread, one utterance at a time."""

    def transcribe(self, samples_16k: FloatArray, languages: Sequence[Language]) -> Transcript:
        """Transcribe one utterance: float32 mono, shape (samples,), 16 kHz.

        With one language in `languages` it is taken as given; with several, the one heard is chosen among them.
        """
        ...
