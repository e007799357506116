"""The loaded models, shared by all conversations: one copy of each, one worker each, called from the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from typing import Self

import numpy as np

from pipeline.audio import INPUT_RATE_HZ, FloatArray
from pipeline.languages import Language
from pipeline.lm.base import Message
from pipeline.loading import Models, load_models
from pipeline.profiles import Profile
from pipeline.stopping import Stop
from pipeline.stt.base import Transcript
from pipeline.vad import VoiceActivityStream
from pipeline.weights import WeightStore
from pipeline.worker import Workers

# As long as a first clause gets: the engines' memory grows with what they are given, and no caller is to wait for that.
_WARM_UP_TEXT = {
    Language.EN: "Hello, and thank you very much for calling today.",
    Language.FR: "Bonjour, et merci beaucoup de votre appel.",
    Language.ES: "Hola, y muchas gracias por su llamada de hoy.",
    Language.ZH: "你好，非常感谢你今天打来电话。",
    Language.JA: "こんにちは、お電話ありがとうございます。",
    Language.KO: "안녕하세요, 전화해 주셔서 감사합니다.",
}


class Engine:
    """What a conversation asks of the models. Every method may be called by many conversations at once."""

    def __init__(self, models: Models, profile: Profile, workers: Workers | None = None) -> None:
        self.profile = profile
        self._models = models
        self._workers = workers or Workers()

    @classmethod
    async def load(
        cls, profile: Profile, store: WeightStore, *, on_loading: Callable[[str], None] = lambda what: None
    ) -> Self:
        """Load and warm every model of a profile. `on_loading` is told what comes next, in words fit for a person.

        Raises:
            MissingExtraError: packages of the engines are not installed.
            ProfileError: the profile names an engine that does not exist.
            WeightsError: a model's files cannot be had.
        """
        workers = Workers()
        try:
            engine = cls(await load_models(profile, store, workers, on_loading), profile, workers)
            on_loading("warm-up")
            await engine._warm_up()
        except BaseException:
            await asyncio.to_thread(workers.close)
            raise
        return engine

    async def _warm_up(self) -> None:
        second = np.zeros(INPUT_RATE_HZ, dtype=np.float32)
        await self.completeness(second)
        await self.transcribe(second, list(Language))
        for language in self._models.language_models:
            prompt = [Message("system", "Answer briefly."), Message("user", _WARM_UP_TEXT[language])]
            async with aclosing(self.reply(prompt, language, max_tokens=4)) as pieces:
                async for _ in pieces:
                    pass
        for language, text in _WARM_UP_TEXT.items():
            async with aclosing(self.speak(text, language, self.voice(language, None), 1.0)) as samples:
                async for _ in samples:
                    pass

    def voice_activity(self) -> VoiceActivityStream:
        """A fresh view of the detector for one conversation. Under a millisecond a frame, so it runs on the loop."""
        return self._models.voice_activity.stream()

    async def completeness(self, samples_16k: FloatArray) -> float:
        """The probability that the speaker of this turn, shape (samples,), has finished."""
        return await self._workers.turns.run(lambda: self._models.end_of_turn.completeness(samples_16k))

    async def transcribe(self, samples_16k: FloatArray, languages: Sequence[Language]) -> Transcript:
        """See `SpeechToText.transcribe`."""
        prior = dict.fromkeys(languages, 1.0)
        return await self._workers.hearing.run(
            lambda: self._models.speech_to_text.transcribe(samples_16k, prior, draft=None, stop=Stop())
        )

    def reply(self, messages: Sequence[Message], language: Language, max_tokens: int) -> AsyncGenerator[str]:
        """Stream an answer with the language model of `language`; close the generator to stop it."""
        model = self._models.language_models[language]
        return self._workers.thinking.stream(lambda: model.reply(messages, max_tokens=max_tokens))

    def count_tokens(self, text: str, language: Language) -> int:
        return self._models.language_models[language].count_tokens(text)

    def speak(self, text: str, language: Language, voice: str, speed: float) -> AsyncGenerator[FloatArray]:
        """Stream one clause as pieces of 24 kHz float32; close the generator to stop it."""
        synthesiser = self._models.text_to_speech[language]
        return self._workers.speaking.stream(lambda: synthesiser.speak(text, language, voice, speed))

    def voices(self, language: Language) -> tuple[str, ...]:
        """The voices that speak a language, the default first."""
        return self._models.text_to_speech[language].voices[language]

    def voice(self, language: Language, wanted: str | None) -> str:
        """`wanted` if it speaks the language, else the language's default: an `auto` caller keeps getting answers."""
        names = self.voices(language)
        return wanted if wanted in names else names[0]

    async def aclose(self) -> None:
        """Wait for what runs, drop what waits, and let the models go."""
        await asyncio.to_thread(self._workers.close)
