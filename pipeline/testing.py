"""Scripted models: a cascade that always answers the same, for tests of whatever sits on top of it.

Its models take no time, or exactly the time they are told to, on the clock of the event loop; so on a loop whose time
is virtual a conversation of minutes is over in milliseconds, and comes out the same every time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Generic, Self, TypeVar

import numpy as np

from pipeline.audio import INPUT_RATE_HZ, OUTPUT_RATE_HZ, FloatArray
from pipeline.conversation import Conversation
from pipeline.engine import Engine
from pipeline.events import Event, ReplyDone
from pipeline.languages import Language
from pipeline.lm.base import NO_TOOLS, Message, Piece, Toolbox
from pipeline.loading import Models
from pipeline.profiles import Profile, load_profile
from pipeline.scripted_runner import OnTheLoop, Pace
from pipeline.settings import ConversationSettings
from pipeline.stopping import Stop
from pipeline.stt.base import Transcript
from pipeline.vad import VoiceActivityStream
from pipeline.worker import Runner
from pipeline.workers import Workers

T = TypeVar("T")
E = TypeVar("E", bound=Event)

_SPEECH_RMS = 0.01
_PIECE_S = 0.1
_SECONDS_PER_CHARACTER = 0.05


class ScriptedVoiceActivity:
    """Speech is what has energy."""

    def stream(self) -> VoiceActivityStream:
        return self

    def probability(self, frame_16k: FloatArray) -> float:
        return 1.0 if float(frame_16k.dot(frame_16k)) > frame_16k.size * _SPEECH_RMS**2 else 0.0


@dataclass
class Script:
    """What the models of a `scripted_engine` do. A sequence is used up one by one, and its last is for ever.

    Attributes:
        heard: the transcript of each transcription in a pause or at an end, or what makes one of the samples at 16 kHz;
            an exception is raised.
        partly: the transcript of what is transcribed while somebody speaks.
        ends: the probability that the sentence ends there, of each of `heard`.
        completeness: what the end-of-turn model says, each time it is asked.
        sentence: how probable the language model finds it that what was said is a finished sentence, each time it is
            asked; None if it never can tell.
        reply: the answer to the messages of a conversation: a text, or the pieces of one.
        language: that `auto` hears, in each of `heard`.
        hearing_s: how long a transcription takes.
        asking_s: how long the end-of-turn model takes.
        reading_s: how long the language model takes to judge a sentence.
        thinking_s: how long the language model takes for each word.
        speaking_s: how long the synthesiser takes before the first piece of each clause.
        sounding_s: how long it takes for each piece, 100 ms of sound.
        pitch_hz: in which a text is spoken.
        calls: what was asked of which model, in order: `hear`, `hear partly`, `ask`, `read`, `prepare`, `think`,
            `speak`.
        asked: how many tokens the language model might use for each reply, and which tools.
    """

    heard: Sequence[str | Exception] | Callable[[FloatArray], str] = ("hello",)
    partly: str = ""
    ends: Sequence[float] = (1.0,)
    completeness: Sequence[float | Exception] = (1.0,)
    sentence: Sequence[float | Exception] | None = None
    reply: Callable[[Sequence[Message]], str | Sequence[Piece]] = field(default=lambda messages: "Hi there.")
    language: Sequence[Language] = (Language.EN,)
    confidence: Sequence[float] = (1.0,)
    hearing_s: float = 0.0
    asking_s: float = 0.0
    reading_s: float = 0.0
    thinking_s: float = 0.0
    speaking_s: float = 0.0
    sounding_s: float = 0.0
    pitch_hz: Callable[[str], float] = field(default=lambda text: 220.0)
    calls: list[tuple[str, object]] = field(default_factory=list)
    asked: list[tuple[int, Toolbox]] = field(default_factory=list)
    pace: Pace = field(default_factory=Pace)


class Prompts:
    """A `Script.reply` that keeps the messages it was asked with; its last answer is for ever."""

    def __init__(self, *answers: str | Sequence[Piece]) -> None:
        self.seen: list[list[Message]] = []
        self._answers = _Turns[str | Sequence[Piece]](answers)

    def __call__(self, messages: Sequence[Message]) -> str | Sequence[Piece]:
        self.seen.append(list(messages))
        return self._answers.next()

    def last(self) -> list[tuple[str, str]]:
        """Of the newest prompt, who said what, without the instructions."""
        return [(message.role, message.text) for message in self.seen[-1][1:]]


class _Turns(Generic[T]):
    """One after the other, the last one for ever; an exception is raised."""

    def __init__(self, values: Sequence[T | Exception]) -> None:
        self._values = list(values)

    def next(self) -> T:
        value = self._values.pop(0) if len(self._values) > 1 else self._values[0]
        if isinstance(value, Exception):
            raise value
        return value


class _Heard:
    """Transcripts that nothing of the sound decides."""

    def __init__(self, texts: _Turns[str]) -> None:
        self._texts = texts

    def __call__(self, samples_16k: FloatArray) -> str:
        return self._texts.next()


class _ScriptedEndOfTurn:
    def __init__(self, script: Script) -> None:
        self._script = script
        self._answers = _Turns[float](script.completeness)

    def completeness(self, samples_16k: FloatArray, stop: Stop) -> float:
        self._script.calls.append(("ask", samples_16k.size))
        self._script.pace.take(self._script.asking_s)
        return self._answers.next()


class _ScriptedSpeechToText:
    def __init__(self, script: Script) -> None:
        self._script = script
        self._heard = script.heard if callable(script.heard) else _Heard(_Turns[str](script.heard))
        self._ends = _Turns[float](script.ends)
        self._languages = _Turns[Language](script.language)
        self._confidence = _Turns[float](script.confidence)

    def transcribe(
        self,
        samples_16k: FloatArray,
        languages: Mapping[Language, float],
        *,
        draft: Transcript | None,
        quick: bool = True,
        stop: Stop,
    ) -> Transcript:
        self._script.pace.take(self._script.hearing_s)
        tail = samples_16k[-512:]
        quiet = tail.size == 0 or float(np.sqrt(np.mean(np.square(tail)))) <= _SPEECH_RMS
        self._script.calls.append(("hear" if quiet else "hear partly", draft.text if draft else None))
        if not quiet:
            return Transcript(self._script.partly, next(iter(languages)), 0.0)
        language, text = self._languages.next(), self._heard(samples_16k)
        spoken = language if language in languages else next(iter(languages))
        return Transcript(text, spoken, self._ends.next(), self._confidence.next())


class _ScriptedLanguageModel:
    def __init__(self, script: Script) -> None:
        self._script = script
        self.tells_ends = script.sentence is not None
        self._sentences = _Turns[float](script.sentence or ())

    def reply(
        self, messages: Sequence[Message], *, max_tokens: int, toolbox: Toolbox = NO_TOOLS, stop: Stop
    ) -> Iterator[Piece]:
        self._script.calls.append(("think", messages[-1].text))
        self._script.asked.append((max_tokens, toolbox))
        answer = self._script.reply(messages)
        for piece in [answer] if isinstance(answer, str) else answer:
            for index, word in enumerate(piece.split(" ") if isinstance(piece, str) else [piece]):
                self._script.pace.take(self._script.thinking_s)
                yield f" {word}" if isinstance(word, str) and index else word

    def prepare(self, messages: Sequence[Message], toolbox: Toolbox = NO_TOOLS, *, stop: Stop) -> None:
        self._script.calls.append(("prepare", messages[-1].text))

    def sentence_ends(self, text: str, *, stop: Stop) -> float | None:
        self._script.calls.append(("read", text))
        self._script.pace.take(self._script.reading_s)
        return self._sentences.next() if self.tells_ends else None

    def count_tokens(self, text: str) -> int:
        return len(text.split())


class _ScriptedTextToSpeech:
    """Speaks any text as a soft tone, 50 ms a character, in pieces of 100 ms."""

    def __init__(self, script: Script) -> None:
        self.voices: dict[Language, tuple[str, ...]] = dict.fromkeys(Language, ("scripted",))
        self._script = script

    def speak(self, text: str, language: Language, voice: str, *, speed: float, stop: Stop) -> Iterator[FloatArray]:
        self._script.calls.append(("speak", text))
        self._script.pace.take(self._script.speaking_s)
        seconds = len(text.strip()) * _SECONDS_PER_CHARACTER / speed
        tone = 0.1 * np.sin(
            2 * np.pi * self._script.pitch_hz(text) * np.arange(int(seconds * OUTPUT_RATE_HZ)) / OUTPUT_RATE_HZ
        )
        piece = int(_PIECE_S * OUTPUT_RATE_HZ)
        for start in range(0, tone.size, piece):
            self._script.pace.take(self._script.sounding_s)
            yield tone[start : start + piece].astype(np.float32)


def scripted_engine(
    script: Script | None = None,
    *,
    profile: Profile | None = None,
    runner: Callable[[str, int], Runner] | None = None,
) -> Engine:
    """An engine without models.

    Args:
        script: what it does; hears "hello" and says "Hi there." by default.
        profile: the embedded one by default.
        runner: where its models run, by a worker's name and slots; on the event loop by default.
    """
    script = script or Script()
    models = Models(
        voice_activity=ScriptedVoiceActivity(),
        end_of_turn=_ScriptedEndOfTurn(script),
        speech_to_text=_ScriptedSpeechToText(script),
        language_models=dict.fromkeys(Language, _ScriptedLanguageModel(script)),
        text_to_speech=dict.fromkeys(Language, _ScriptedTextToSpeech(script)),
    )
    profile = profile or load_profile("embedded")
    workers = Workers(
        runner or (lambda name, slots: OnTheLoop(script.pace)),
        replies_at_once=profile.replies_at_once,
        clauses_at_once=profile.clauses_at_once,
    )
    return Engine(models, profile, workers)


class ScriptedCaller:
    """Holds a conversation in the event loop's time: speaks and keeps silent frame by frame, and hears everything.

    Use as an async context manager: leaving it hangs up.

    Attributes:
        conversation: which it holds.
        heard: what it was told so far, each event with the time on the loop at which it came.
    """

    FRAME_S = 0.02

    def __init__(self, engine: Engine, settings: ConversationSettings | None = None) -> None:
        self.conversation = Conversation(engine, settings)
        self.heard: list[tuple[float, Event]] = []
        self._loop = asyncio.get_running_loop()
        self._listening: asyncio.Task[None]

    async def __aenter__(self) -> Self:
        await self.conversation.__aenter__()
        self._listening = asyncio.create_task(self._listen())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.conversation.__aexit__(kind, error, trace)
        await asyncio.wait([self._listening])

    async def speak(self, seconds: float, *, level: float = 0.3) -> None:
        """Frames of a tone, which the scripted detector takes for speech."""
        await self.play((level * np.sin(np.arange(round(seconds * INPUT_RATE_HZ)) * 0.1)).astype(np.float32))

    async def keep_silent(self, seconds: float) -> None:
        await self.play(np.zeros(round(seconds * INPUT_RATE_HZ), np.float32))

    async def play(self, samples_16k: FloatArray) -> None:
        """Send audio as a sound card would: each frame when its last sample has been recorded."""
        frame = round(self.FRAME_S * INPUT_RATE_HZ)
        for start in range(0, samples_16k.size, frame):
            await asyncio.sleep(self.FRAME_S)
            await self.conversation.feed(samples_16k[start : start + frame])

    async def take_turn(self) -> None:
        """Half a second of silence, a second of speech, and silence until a reply has ended."""
        await self.keep_silent(0.5)
        await self.speak(1.0)
        await self.until(ReplyDone)

    def listen(self, listening: bool) -> None:
        """Stop fetching events, or fetch them again."""
        self._listening.cancel()
        if listening:
            self._listening = asyncio.create_task(self._listen())

    async def until(self, kind: type[E], *, within_s: float = 30.0, count: int = 1) -> E:
        """The event of that kind that is the `count`-th, silence being kept until it comes.

        Raises:
            TimeoutError: it does not.
        """
        ends_at_s = self._loop.time() + within_s
        while len(found := self.all(kind)) < count:
            if self._loop.time() >= ends_at_s:
                raise TimeoutError(f"no {kind.__name__} within {within_s} s; told were {self.kinds()}")
            await self.keep_silent(self.FRAME_S)
        return found[count - 1]

    def all(self, kind: type[E]) -> list[E]:
        """Every event of one kind."""
        return [event for _, event in self.heard if isinstance(event, kind)]

    def at_s(self, event: Event) -> float:
        """When it came, on the loop's clock."""
        return next(at_s for at_s, other in self.heard if other is event)

    def kinds(self) -> list[str]:
        """The names of what came, in order; a run of one kind as one."""
        names = [type(event).__name__ for _, event in self.heard]
        return [name for name, before in zip(names, ["", *names], strict=False) if name != before]

    async def _listen(self) -> None:
        async for event in self.conversation.events():
            self.heard.append((self._loop.time(), event))
