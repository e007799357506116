"""The loaded models, shared by all conversations: one copy of each, one worker each, called from the event loop.

Every call has a deadline on the event loop's clock; the oldest goes first, whoever asked. To cancel a call is to stop
its model, in the queue or at work.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from contextlib import aclosing, contextmanager
from dataclasses import dataclass
from typing import Self

import numpy as np

from pipeline.audio import INPUT_RATE_HZ, OUTPUT_RATE_HZ, FloatArray
from pipeline.breath import load_words
from pipeline.languages import Language
from pipeline.lm.base import NO_TOOLS, Message, Piece, Toolbox
from pipeline.loading import Models, load_models
from pipeline.profiles import Profile
from pipeline.stopping import Stop
from pipeline.stt.base import Transcript
from pipeline.vad import VoiceActivityStream
from pipeline.weights import WeightStore
from pipeline.worker import WHENEVER
from pipeline.workers import Workers

# As long as a first clause gets: the engines' memory grows with what they are given, and no caller is to wait for that.
_WARM_UP_TEXT = {
    Language.EN: "Hello, and thank you very much for calling today.",
    Language.FR: "Bonjour, et merci beaucoup de votre appel.",
    Language.ES: "Hola, y muchas gracias por su llamada de hoy.",
    Language.ZH: "你好，非常感谢你今天打来电话。",
    Language.JA: "こんにちは、お電話ありがとうございます。",
    Language.KO: "안녕하세요, 전화해 주셔서 감사합니다.",
}
_LONG_CLAUSE = 5
"""Of these sentences, which is as long as a clause gets."""

STUCK_S = 120.0
"""A model that hangs is replaced long before; if a job takes longer than this, not even that has helped."""


@dataclass(frozen=True, slots=True)
class Jobs:
    """Jobs of one worker that wait, and that are running, and for how long the oldest of those has been; how often a
    job began as the only one that runs, as the second, and so on; and how often the process of its models had to be
    started again."""

    waiting: int
    running: int
    longest_s: float
    batch_sizes: tuple[int, ...]
    restarts: int


class Engine:
    """What a conversation asks of the models. Every method may be called by many conversations at once."""

    def __init__(self, models: Models, profile: Profile, workers: Workers | None = None) -> None:
        self.profile = profile
        self._models = models
        self._workers = workers or Workers(
            replies_at_once=profile.replies_at_once, clauses_at_once=profile.clauses_at_once
        )
        self._replies = 0
        self._transcriptions = 0

    @classmethod
    async def load(
        cls, profile: Profile, store: WeightStore, *, on_loading: Callable[[str], None] = lambda what: None
    ) -> Self:
        """Load and warm every model of a profile. `on_loading` is told what comes next, in words fit for a person.

        Raises:
            MissingExtraError: packages of the engines are not installed.
            ModelProcessError: the process of a model died over loading it.
            UnfitMachineError: there is no GPU, or too little of its memory, or a variable is not set.
            LanguageModelError: the language model is elsewhere, and does not answer.
            WeightsError: a model's files cannot be had.
        """
        engine = cls(await load_models(profile, store, on_loading), profile)
        try:
            on_loading("warm-up")
            await engine._warm_up()
        except BaseException:
            await engine.aclose()
            raise
        return engine

    async def _warm_up(self) -> None:
        """The first call of a model costs more than any other, and so does the first clause, and the longest; no caller
        is to pay for it."""
        await asyncio.to_thread(load_words)
        second = np.zeros(INPUT_RATE_HZ, dtype=np.float32)
        self.voice_activity().probability(second[:512])
        await self.completeness(second)
        for deadline_s in (0.0, WHENEVER):  # in haste and not
            await self.transcribe(second, dict.fromkeys(Language, 1.0), deadline_s=deadline_s)
        for language, text in _WARM_UP_TEXT.items():
            async with aclosing(self.reply([Message("user", text)], language, 4)) as pieces:
                async for _ in pieces:
                    pass
            async with aclosing(self.speak(text, language, self.voices(language)[0], 1.0, deadline_s=0.0)) as spoken:
                async for _ in spoken:
                    pass
        # A synthesiser takes the most memory as it begins with as many long clauses as it makes at once, and keeps it.
        spoken_by = {id(model): language for language, model in reversed(self._models.text_to_speech.items())}
        for language in spoken_by.values():
            text = " ".join([_WARM_UP_TEXT[language]] * _LONG_CLAUSE)
            await asyncio.gather(*(self._begin_to_speak(text, language) for _ in range(self.profile.clauses_at_once)))

    async def _begin_to_speak(self, text: str, language: Language) -> None:
        async with aclosing(self.speak(text, language, self.voices(language)[0], 1.0, deadline_s=0.0)) as spoken:
            async for _ in spoken:
                return

    def jobs(self) -> dict[str, Jobs]:
        """What each worker, by its name, has to do."""
        restarts = {process.name: process.restarts for process in self._models.processes}
        return {
            name: Jobs(
                worker.waiting, worker.running, worker.longest_s(), tuple(worker.batch_sizes), restarts.get(name, 0)
            )
            for name, worker in self._workers.named.items()
        }

    def processor_s(self) -> float:
        """The processor time taken so far, by all that runs. Blocks while a model is being started again."""
        return time.process_time() + sum(process.processor_s() for process in self._models.processes)

    def stuck(self) -> str | None:
        """The name of a worker that will not come back from its job, as far as one can tell, though the process of its
        models was replaced: only another server helps."""
        return next((name for name, jobs in self.jobs().items() if jobs.longest_s > STUCK_S), None)

    def voice_activity(self) -> VoiceActivityStream:
        """A detector for one conversation; fast enough to be called on the event loop."""
        return self._models.voice_activity.stream()

    async def completeness(self, samples_16k: FloatArray) -> float:
        """The probability that the speaker of this turn, shape (samples,), has finished."""
        return await self._workers.turns.run(
            lambda stop: self._models.end_of_turn.completeness(samples_16k, stop), deadline_s=_now_s()
        )

    async def transcribe(
        self,
        samples_16k: FloatArray,
        languages: Mapping[Language, float],
        *,
        draft: Transcript | None = None,
        deadline_s: float = WHENEVER,
    ) -> Transcript:
        """See `SpeechToText.transcribe`. Without a deadline it gives way to whoever has one, and takes its time; so
        does one that has a deadline while a reply is being synthesised, which needs the processor as well.

        Raises:
            Stopped: it gave way.
        """
        self._transcriptions += 1

        def transcribe(stop: Stop) -> Transcript:
            quick = deadline_s < WHENEVER and not self._workers.speaking.running
            return self._models.speech_to_text.transcribe(samples_16k, languages, draft=draft, quick=quick, stop=stop)

        return await self._workers.hearing.run(transcribe, deadline_s=deadline_s)

    async def prepare_reply(self, messages: Sequence[Message], language: Language, toolbox: Toolbox = NO_TOOLS) -> None:
        """Have the language model read what will be the beginning of a prompt, if it has nothing else to do.

        Raises:
            Stopped: it had.
        """
        model = self._models.language_models[language]
        await self._workers.thinking.run(lambda stop: model.prepare(messages, toolbox, stop=stop), deadline_s=WHENEVER)

    def tells_ends(self, language: Language) -> bool:
        """Whether the language model of `language` can tell that a sentence has ended."""
        return self._models.language_models[language].tells_ends

    async def sentence_ends(self, text: str, language: Language) -> float | None:
        """See `LanguageModel.sentence_ends`."""
        model = self._models.language_models[language]
        return await self._workers.thinking.run(lambda stop: model.sentence_ends(text, stop=stop), deadline_s=_now_s())

    def reply(
        self,
        messages: Sequence[Message],
        language: Language,
        max_tokens: int,
        toolbox: Toolbox = NO_TOOLS,
        *,
        stop: Stop | None = None,
    ) -> AsyncGenerator[Piece]:
        """Stream an answer with the language model of `language`; close the generator to stop it. By `stop` it can be
        asked to pause, too."""
        model = self._models.language_models[language]
        return self._workers.thinking.stream(
            lambda stop: model.reply(messages, max_tokens=max_tokens, toolbox=toolbox, stop=stop),
            deadline_s=_now_s(),
            stop=stop,
        )

    @contextmanager
    def making_reply(self) -> Iterator[Callable[[], float]]:
        """Around the making of a reply. Yields what tells, at any time, how much of it to make before it is heard, in
        seconds, so that it does not run dry: nothing for whoever is alone.
        """
        self._replies += 1
        transcriptions = self._transcriptions

        def head_start_s() -> float:
            # What is transcribed after the turn that is answered is somebody else's.
            others = self._replies - 1 or int(self._transcriptions > transcriptions)
            speech = self.profile.text_to_speech
            return min(speech.most_head_start_s, speech.head_start_s * others)

        try:
            yield head_start_s
        finally:
            self._replies -= 1

    def count_tokens(self, text: str, language: Language) -> int:
        return self._models.language_models[language].count_tokens(text)

    def speak(
        self, text: str, language: Language, voice: str, speed: float, *, deadline_s: float
    ) -> AsyncGenerator[FloatArray]:
        """Stream one clause as pieces of 24 kHz float32; close the generator to stop it.

        `deadline_s` is when the caller has heard all there was before it.
        """
        synthesiser = self._models.text_to_speech[language]
        return self._workers.speaking.stream(
            lambda stop: synthesiser.speak(text, language, voice, speed=speed, stop=stop),
            deadline_s=deadline_s,
            extends=lambda samples_24k: samples_24k.size / OUTPUT_RATE_HZ,
        )

    def voices(self, language: Language) -> tuple[str, ...]:
        """The voices that speak a language, the default first."""
        return self._models.text_to_speech[language].voices[language]

    def voice(self, language: Language, wanted: str | None) -> str:
        """`wanted` if it speaks the language, else the language's default: an `auto` caller keeps getting answers."""
        names = self.voices(language)
        return wanted if wanted in names else names[0]

    async def aclose(self) -> None:
        """Stop what runs, drop what waits, and let the models go."""
        closing = [self._workers.close]
        if self._models.processes:  # together, or a job that hangs would keep its worker from being closed
            closing.append(self._models.close)
        await asyncio.gather(*map(asyncio.to_thread, closing))


def _now_s() -> float:
    return asyncio.get_running_loop().time()
