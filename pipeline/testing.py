"""Scripted models: a cascade that answers at once and always the same, for tests of whatever sits on top of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np

from pipeline.audio import OUTPUT_RATE_HZ, FloatArray
from pipeline.engine import Engine
from pipeline.languages import Language
from pipeline.lm.base import Message
from pipeline.loading import Models
from pipeline.profiles import Profile, load_profile
from pipeline.stopping import Stop
from pipeline.stt.base import Transcript
from pipeline.vad import VoiceActivityStream

_SPEECH_RMS = 0.01
_PIECE_S = 0.1
_SECONDS_PER_CHARACTER = 0.05


class ScriptedVoiceActivity:
    """Speech is what has energy."""

    def stream(self) -> VoiceActivityStream:
        return self

    def probability(self, frame_16k: FloatArray) -> float:
        return 1.0 if float(np.sqrt(np.mean(np.square(frame_16k)))) > _SPEECH_RMS else 0.0


class ScriptedEndOfTurn:
    """Gives the scripted probabilities one after the other, the last one for ever."""

    def __init__(self, probabilities: Sequence[float] = (1.0,)) -> None:
        self._probabilities = list(probabilities)

    def completeness(self, samples_16k: FloatArray) -> float:
        return self._probabilities.pop(0) if len(self._probabilities) > 1 else self._probabilities[0]


class ScriptedSpeechToText:
    """Hears the scripted texts one after the other, the last one for ever."""

    def __init__(self, texts: Sequence[str], language: Language) -> None:
        self._texts = list(texts)
        self._language = language

    def transcribe(
        self, samples_16k: FloatArray, languages: Mapping[Language, float], *, draft: Transcript | None, stop: Stop
    ) -> Transcript:
        text = self._texts.pop(0) if len(self._texts) > 1 else self._texts[0]
        return Transcript(text, next(iter(languages)) if len(languages) == 1 else self._language)


class ScriptedLanguageModel:
    """Answers a conversation by a function of it, word by word."""

    def __init__(self, answer: Callable[[Sequence[Message]], str]) -> None:
        self._answer = answer

    def reply(self, messages: Sequence[Message], *, max_tokens: int) -> Iterator[str]:
        for index, word in enumerate(self._answer(messages).split(" ")):
            yield word if index == 0 else f" {word}"

    def count_tokens(self, text: str) -> int:
        return len(text.split())


class ScriptedTextToSpeech:
    """Speaks any text as a soft 220 Hz tone, 50 ms a character, in pieces of 100 ms."""

    def __init__(self) -> None:
        self.voices: dict[Language, tuple[str, ...]] = dict.fromkeys(Language, ("scripted",))

    def speak(self, text: str, language: Language, voice: str, speed: float = 1.0) -> Iterator[FloatArray]:
        seconds = len(text.strip()) * _SECONDS_PER_CHARACTER / speed
        tone = 0.1 * np.sin(2 * np.pi * 220 * np.arange(int(seconds * OUTPUT_RATE_HZ)) / OUTPUT_RATE_HZ)
        piece = int(_PIECE_S * OUTPUT_RATE_HZ)
        for start in range(0, tone.size, piece):
            yield tone[start : start + piece].astype(np.float32)


def scripted_engine(
    *,
    heard: str | Sequence[str] = "hello",
    reply: str | Callable[[Sequence[Message]], str] = "Hi there.",
    language: Language = Language.EN,
    completeness: Sequence[float] = (1.0,),
    profile: Profile | None = None,
) -> Engine:
    """An engine without models.

    Args:
        heard: the transcript of every turn, or of one turn after the other.
        reply: the answer, or a function from the messages of the conversation to it.
        language: the language that `auto` hears.
        completeness: what the end-of-turn model says, one pause after the other.
        profile: the embedded one by default.
    """
    language_model = ScriptedLanguageModel((lambda messages: reply) if isinstance(reply, str) else reply)
    synthesiser = ScriptedTextToSpeech()
    models = Models(
        voice_activity=ScriptedVoiceActivity(),
        end_of_turn=ScriptedEndOfTurn(completeness),
        speech_to_text=ScriptedSpeechToText([heard] if isinstance(heard, str) else heard, language),
        language_models=dict.fromkeys(Language, language_model),
        text_to_speech=dict.fromkeys(Language, synthesiser),
    )
    return Engine(models, profile or load_profile("embedded"))
