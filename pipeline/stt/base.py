"""Speech to text, as the engine sees it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from pipeline.audio import FloatArray
from pipeline.languages import Language
from pipeline.stopping import Stop


@dataclass(frozen=True, slots=True)
class Transcript:
    """What was understood.

    Attributes:
        text: stripped, and empty where no words were found.
        language: in which it was understood.
        ends: the probability that a sentence ends after the last word, by the words and how they were said; None from
            an engine that cannot tell.
        confidence: the mean probability of what was written; None from an engine that cannot tell.
        tokens: for the engine itself, to which a transcript may be given as the draft of a longer one.
    """

    text: str
    language: Language
    ends: float | None = None
    confidence: float | None = None
    tokens: tuple[int, ...] = field(default=(), repr=False)


class SpeechToText(Protocol):
    """Called from one worker thread, one utterance at a time."""

    def transcribe(
        self,
        samples_16k: FloatArray,
        languages: Mapping[Language, float],
        *,
        draft: Transcript | None,
        quick: bool = True,
        stop: Stop,
    ) -> Transcript:
        """Transcribe one utterance.

        Args:
            samples_16k: float32 mono, shape (samples,), 16 kHz.
            languages: how likely each is before anything was heard; one alone is taken as given.
            draft: what was understood of the beginning of this utterance. It makes the answer come sooner, and is no
                part of the question: but for words that are about as likely the answer is the same without it.
            quick: somebody waits for it, and nothing is being synthesised: it may take more of the processor to come
                sooner.
            stop: to be looked at often.

        Raises:
            Stopped: told to stop.
        """
        ...
