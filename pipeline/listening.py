"""One turn while it is being spoken: what is understood of it so far, and how much silence will end it."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pipeline.audio import INPUT_RATE_HZ, FloatArray
from pipeline.end_of_turn import Statements, is_open, wait_s
from pipeline.engine import Engine
from pipeline.events import Trace
from pipeline.hearing import AudioWindow
from pipeline.languages import TRAITS, Language
from pipeline.profiles import TurnProfile
from pipeline.stopping import Stopped
from pipeline.stt.base import Transcript
from pipeline.tasks import Spawn
from pipeline.worker import WHENEVER

log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Pause:
    """A silence in the turn, and what was made of it. It is void when the speaker goes on."""

    end_s: float
    ask_at_s: float
    fades: bool
    """It may be no silence, but a soft sound."""
    transcription: asyncio.Task[None] = field(init=False)
    transcript: Transcript | None = None
    completeness: list[float] = field(default_factory=list)
    question: asyncio.Task[None] | None = None
    sentence: float | None = None
    reading: asyncio.Task[None] | None = None

    def drop_questions(self) -> None:
        """What Smart Turn and the language model would say is not needed any more."""
        _cancel(self.question)
        _cancel(self.reading)


class Turn:
    """Use from the event loop; `close` when it is not needed any more.

    Attributes:
        number: of the turn, counted from 1.
        start_s: where its speech begins, on the input's sample clock.
        audio_from_s: where the audio that belongs to it begins.
        trace: of this turn, as far as it has come.
        message: the number of its place in the history, from the commit on.
        overlaps: it is spoken over a reply, and may be no turn.
        told: its begin was told; nobody is told where a turn of push to talk begins, nor where it stops.

    Args:
        settings: how turns are taken.
        audio: the caller's, which keeps what the turn needs of it.
        likelihoods: how likely each language is, by the seconds of speech there are to judge by.
        sample_clock: the position in the caller's audio.
        on_news: called when something has been understood in a pause that goes on.
        on_partial: called with what was understood while somebody speaks.
    """

    def __init__(
        self,
        number: int,
        start_s: float,
        *,
        engine: Engine,
        settings: TurnProfile,
        audio: AudioWindow,
        audio_from_s: float,
        likelihoods: Callable[[float], Mapping[Language, float]],
        sample_clock: Callable[[], float],
        spawn: Spawn,
        on_news: Callable[[Turn], None],
        on_partial: Callable[[Transcript], None],
    ) -> None:
        self.number = number
        self.start_s = start_s
        self.message = 0
        self.overlaps = False
        self.told = False
        self.trace = Trace()
        self._engine = engine
        self._settings = settings
        self._audio = audio
        self.audio_from_s = audio_from_s
        self._likelihoods = likelihoods
        self._sample_clock = sample_clock
        self._spawn = spawn
        self._on_news = on_news
        self._on_partial = on_partial
        self._settled: list[Transcript] = []
        """Of what was said before a pause that is long past."""
        self._piece_from_s = audio_from_s
        self._draft: Transcript | None = None
        self._partial: asyncio.Task[None] | None = None
        self._partial_from_s = audio_from_s
        self._pause: _Pause | None = None

    def samples_16k(self) -> FloatArray:
        """All the audio of the turn."""
        return self._audio.since(self.audio_from_s)

    @property
    def transcript(self) -> Transcript | None:
        """What is understood of the whole turn, in a pause; None while that is not known."""
        if self._pause is None or self._pause.transcript is None:
            return None
        return self._joined(self._pause.transcript)

    @property
    def fades(self) -> bool:
        """What is understood may lack soft words at the end, for it is not clear whether they are any."""
        return self._pause is not None and self._pause.fades

    def go_on(self) -> None:
        """Somebody is speaking. What is new of it is transcribed now and then, for what is known already need not be
        found when everybody waits for it."""
        due = self._audio.end_s - self._partial_from_s >= self._settings.partial_s
        if due and (self._partial is None or self._partial.done()):
            self._partial_from_s = self._audio.end_s
            self._partial = self._spawn(self._transcribe_partly(self._piece()))

    def fade(self, end_s: float) -> None:
        """Since `end_s` all has been so soft that a pause is likely: what it takes to answer begins. Nothing is decided
        by it."""
        if self._pause is None:
            self._pause = self._notice_pause(end_s, fades=True)

    def pause(self, end_s: float, silence_s: float, *, ask: bool) -> float:
        """Nothing but silence since `end_s`. Returns how much of it ends the turn, as things stand.

        `ask` is whether Smart Turn and the language model are to be asked; otherwise how much silence it takes is not
        for this turn to decide.
        """
        if self._pause is None:
            self._pause = self._notice_pause(end_s)
        pause = self._pause
        pause.fades = False
        answered = pause.question is None or pause.question.done()
        if ask and answered and silence_s >= pause.ask_at_s:
            pause.ask_at_s = silence_s + self._settings.ask_again_s
            pause.question = self._spawn(self._ask(pause, self.samples_16k()))
        if (transcript := self.transcript) is None:
            return self._settings.longest_wait_s
        told = Statements(transcript.ends, pause.completeness, self._reads(pause, transcript), pause.sentence)
        judged = pause.question is not None and pause.question.done()
        if judged and pause.reading is None and is_open(self._settings, told):
            pause.reading = self._spawn(self._read(pause, transcript))
        return wait_s(self._settings, told)

    def _reads(self, pause: _Pause, transcript: Transcript) -> bool:
        """Whether the language model is a witness: it has something to read, can tell, and has not failed to."""
        failed = pause.reading is not None and pause.reading.done() and pause.sentence is None
        weighs = self._settings.sentence_weight > 0 and not failed
        return weighs and bool(transcript.text) and self._engine.tells_ends(transcript.language)

    def resume(self) -> None:
        """The speaker went on. What was made of the pause is void, but for the words: they need not be found again."""
        pause, self._pause = self._pause, None
        self.trace = Trace()
        if pause is None:
            return
        pause.drop_questions()
        _cancel(pause.transcription)
        if pause.transcript is None:
            return
        self._partial_from_s = self._audio.end_s
        if not pause.fades and pause.end_s - self._piece_from_s >= self._settings.settle_s:
            self._settled.append(pause.transcript)
            self._piece_from_s = (pause.end_s + self._audio.end_s) / 2
            self._draft = None
        else:
            self._draft = pause.transcript

    def end(self) -> asyncio.Task[None]:
        """The turn is over. When the task is done, `transcript` is that of the whole turn, or the transcription failed.

        The audio is not needed any more from now on.
        """
        _cancel(self._partial)
        if self._pause is not None and self._pause.fades:
            _cancel(self._pause.transcription)
            self._pause = None
        if self._pause is None:
            self._pause = self._begin_pause(self._audio.end_s)
        self._pause.drop_questions()
        return self._pause.transcription

    def close(self) -> None:
        _cancel(self._partial)
        if self._pause is not None:
            self._pause.drop_questions()
            _cancel(self._pause.transcription)

    def _piece(self) -> FloatArray:
        """The audio of what is not settled."""
        return self._audio.since(self._piece_from_s)

    def _notice_pause(self, end_s: float, *, fades: bool = False) -> _Pause:
        if self._partial is not None and not self._partial.done():
            self._partial.cancel()
            self._partial_from_s = -math.inf  # if this is no pause after all, it is wanted at once
        self.trace.pause_s = self._sample_clock()
        return self._begin_pause(end_s, fades=fades)

    def _begin_pause(self, end_s: float, *, fades: bool = False) -> _Pause:
        pause = _Pause(end_s, self._settings.ask_s, fades)
        pause.transcription = self._spawn(self._transcribe_pause(pause, self._piece()))
        return pause

    async def _transcribe_pause(self, pause: _Pause, samples_16k: FloatArray) -> None:
        deadline_s = asyncio.get_running_loop().time()
        try:
            pause.transcript = await self._transcribe(samples_16k, deadline_s)
        except Exception:
            log.exception("turn %d: the speech to text failed", self.number)
            return
        self.trace.transcript_s = self._sample_clock()
        if pause is self._pause:
            self._on_news(self)

    async def _transcribe_partly(self, samples_16k: FloatArray) -> None:
        try:
            self._draft = await self._transcribe(samples_16k, WHENEVER)
        except Stopped:
            return
        except Exception:
            log.exception("turn %d: the speech to text failed on a part of it", self.number)
            return
        if (draft := self._draft) is not None and draft.text:
            self._on_partial(self._joined(draft))

    async def _transcribe(self, samples_16k: FloatArray, deadline_s: float) -> Transcript:
        languages = self._likelihoods(samples_16k.size / INPUT_RATE_HZ)
        if self._settled:
            languages = {self._settled[0].language: 1.0}
        return await self._engine.transcribe(samples_16k, languages, draft=self._draft, deadline_s=deadline_s)

    async def _ask(self, pause: _Pause, samples_16k: FloatArray) -> None:
        try:
            pause.completeness.append(await self._engine.completeness(samples_16k))
        except Exception:
            log.exception("turn %d: the end-of-turn model failed; the words decide without it", self.number)
            return
        if pause is self._pause:
            self._on_news(self)

    async def _read(self, pause: _Pause, transcript: Transcript) -> None:
        try:
            pause.sentence = await self._engine.sentence_ends(transcript.text, transcript.language)
        except Exception:
            log.exception("turn %d: the language model failed on a sentence; the others decide without it", self.number)
            return
        if pause is self._pause:
            self._on_news(self)

    def _joined(self, last: Transcript) -> Transcript:
        if not self._settled:
            return last
        language = self._settled[0].language
        between = "" if TRAITS[language].joins_words else " "
        texts = [transcript.text for transcript in (*self._settled, last) if transcript.text]
        return Transcript(between.join(texts), language, last.ends, last.confidence)


def _cancel(task: asyncio.Task[Any] | None) -> None:
    if task is not None:
        task.cancel()
