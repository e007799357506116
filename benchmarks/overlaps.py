"""A call in which somebody speaks over a reply of the embedded server, or nobody does and its echo is heard.

In real time: a sentence is played, the reply is heard for a second, then the clip is played over it. The reply is
written beforehand, long enough to be spoken over. For an echo the reply, as a loudspeaker would play it in a small
room, is mixed into the microphone.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

import numpy as np
import soxr
from scipy.signal import fftconvolve

from harness import fixtures
from harness.fixtures import NO_SPEECH, Fixture
from pipeline.audio import INPUT_RATE_HZ, OUTPUT_RATE_HZ, FloatArray
from pipeline.conversation import Conversation
from pipeline.engine import Engine
from pipeline.events import Event, ReplyAudio, ReplyDone, SpeechStarted, Transcribed
from pipeline.languages import Language
from pipeline.lm.base import NO_TOOLS, Message, Toolbox
from pipeline.stopping import Stop

E = TypeVar("E", bound=Event)
Condition = Literal["interruption", "backchannel", "noise", "echo", "echo and interruption"]

FRAME_SAMPLES = INPUT_RATE_HZ // 50
ROOM_DBFS = -65.0
HEARD_BEFORE_S = 1.0
"""How long a reply is heard before somebody speaks over it."""
NOISE_S = 3.0
"""So much of a longer clip without speech is played."""
ECHO_S = 7.0
"""How long a reply is listened to when nobody speaks over it."""
SETTLED_S = 3.0
"""After so much silence nothing that was said over the reply ends it any more."""
FIRST_REPLY_S = 15.0

REPLIES: dict[Language, str] = {
    Language.EN: "Of course. Let me tell you about the river first. It rises in the mountains, where the snow lies "
    "until May, and it runs for three hundred miles through forests and small towns. Most people who live there are "
    "farmers. They grow apples and pears, and in the autumn there is a market every Sunday.",
    Language.FR: "Bien sûr. Je vais d'abord vous parler de la rivière. Elle naît dans les montagnes, où la neige "
    "reste jusqu'en mai, et elle traverse des forêts et de petites villes. La plupart des habitants sont des "
    "agriculteurs. Ils cultivent des pommes et des poires, et en automne il y a un marché tous les dimanches.",
    Language.ES: "Por supuesto. Primero le voy a hablar del río. Nace en las montañas, donde la nieve dura hasta "
    "mayo, y atraviesa bosques y pueblos pequeños. La mayoría de los habitantes son agricultores. Cultivan manzanas "
    "y peras, y en otoño hay un mercado todos los domingos.",
    Language.ZH: "当然可以。我先给你讲讲那条河。它从山里流出来，山上的雪到五月才化。河水穿过森林和许多小镇。"
    "那里的人大多数是农民。他们种苹果和梨，到了秋天，每个星期天都有集市。大家都喜欢去那里买东西，也喜欢在河边散步。",
    Language.JA: "もちろんです。まず川の話をしましょう。この川は山から流れてきます。山の雪は五月まで残ります。"
    "川は森や小さな町を通ります。そこに住む人の多くは農家です。りんごや梨を育てていて、秋には毎週日曜日に市場が開かれます。",
    Language.KO: "물론입니다. 먼저 강 이야기를 해 드릴게요. 이 강은 산에서 흘러나옵니다. 산에는 오월까지 눈이 "
    "남아 있습니다. 강은 숲과 작은 마을을 지나갑니다. 그곳에 사는 사람들은 대부분 농부입니다. 사과와 배를 기르고, "
    "가을에는 일요일마다 시장이 열립니다.",
}


@dataclass(frozen=True, slots=True)
class Overlap:
    """What is to happen while a reply is heard. `clip` is None where nobody speaks, `echo_db` without an echo."""

    condition: Condition
    language: str
    clip: Fixture | None = None
    echo_db: float | None = None
    echo_delay_ms: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of a reply.

    Attributes:
        clip: the id of what was played over the reply, and `said` the text of it.
        interrupted: the reply was ended, or somebody was taken to have spoken.
        stop_s: from the marked start of speech to the last audio that was sent of an interrupted reply; at least 0.
        gap_s: the longest silence of the caller's loudspeaker within a reply that went on.
        answered: a reply to what interrupted followed.
        heard: what was understood of it, and `heard_in` in which language; None where nothing was told.
        late_s: by how much the latest frame was fed too late: what the measurement itself is worth.
        error: why there is nothing to be measured.
    """

    condition: Condition
    language: str
    clip: str | None
    said: str | None
    echo_db: float | None
    echo_delay_ms: int
    interrupted: bool
    stop_s: float | None
    gap_s: float
    answered: bool
    heard: str | None
    heard_in: str | None
    late_s: float
    error: str | None


class LongReply:
    """A language model that always says the same. Satisfies `pipeline.lm.base.LanguageModel`."""

    tells_ends = False

    def __init__(self, text: str) -> None:
        self._text = text

    def reply(
        self, messages: Sequence[Message], *, max_tokens: int, toolbox: Toolbox = NO_TOOLS, stop: Stop
    ) -> Iterator[str]:
        yield self._text

    def prepare(self, messages: Sequence[Message], toolbox: Toolbox = NO_TOOLS, *, stop: Stop) -> None:
        """There is nothing to read ahead."""

    def sentence_ends(self, text: str, *, stop: Stop) -> None:
        """It knows nothing of language."""

    def count_tokens(self, text: str) -> int:
        return len(text)


class Loudspeaker:
    """Plays what it is given in a room, one piece after the other, and stops when it is told that somebody speaks.

    Times are seconds on the event loop's clock.
    """

    def __init__(self) -> None:
        self._room = room_response()
        self._played: list[tuple[float, FloatArray]] = []
        self._ends_at_s = -math.inf

    def play(self, samples_24k: FloatArray, now_s: float) -> float:
        """Returns for how long it had been silent since the piece before."""
        silent_s = max(0.0, now_s - self._ends_at_s)
        begins_at_s = max(now_s, self._ends_at_s)
        samples_16k = soxr.resample(samples_24k, OUTPUT_RATE_HZ, INPUT_RATE_HZ)
        self._played.append((begins_at_s, fftconvolve(samples_16k, self._room).astype(np.float32)))
        self._ends_at_s = begins_at_s + samples_24k.size / OUTPUT_RATE_HZ
        return silent_s

    def stop(self, now_s: float) -> None:
        kept = [(at_s, samples[: max(0, round((now_s - at_s) * INPUT_RATE_HZ))]) for at_s, samples in self._played]
        self._played = [(at_s, samples) for at_s, samples in kept if samples.size]
        self._ends_at_s = min(self._ends_at_s, now_s)

    def sound(self, from_s: float, samples: int) -> FloatArray:
        """What it plays from then on, at 16 kHz."""
        found = np.zeros(samples, np.float32)
        for at_s, piece in self._played[-20:]:
            start = round((at_s - from_s) * INPUT_RATE_HZ)
            first, last = max(0, start), min(samples, start + piece.size)
            if first < last:
                found[first:last] += piece[first - start : last - start]
        return found


def room_response() -> FloatArray:
    """A small room at 16 kHz: the sound itself, and 0.2 s of reverberation with a quarter of its energy."""
    times_s = np.arange(round(0.2 * INPUT_RATE_HZ)) / INPUT_RATE_HZ
    tail = np.random.default_rng(0).standard_normal(times_s.size) * 10 ** (-3 * times_s / 0.3)
    tail *= 0.5 / np.linalg.norm(tail)
    tail[0] = 1.0
    return tail.astype(np.float32)


class Call:
    """One caller of a conversation: a microphone in a quiet room, and a loudspeaker.

    Use as an async context manager: inside, the microphone's audio is fed, each frame when its last sample is recorded.
    """

    def __init__(self, conversation: Conversation, overlap: Overlap) -> None:
        self._conversation = conversation
        self._overlap = overlap
        self._clock = asyncio.get_running_loop().time
        self._loudspeaker = Loudspeaker()
        self._says = np.zeros(0, np.float32)
        self._begun_s = 0.0
        self._frames = 0
        self._news = asyncio.Event()
        self.late_s = 0.0
        self.heard: list[tuple[float, Event]] = []
        self.silences: list[tuple[float, float]] = []
        """When the loudspeaker began again, and for how long it had been silent."""

    async def __aenter__(self) -> Call:
        self._begun_s = self._clock()
        self._tasks = [asyncio.create_task(self._feed()), asyncio.create_task(self._listen())]
        return self

    async def __aexit__(self, *exc: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def say(self, samples_16k: FloatArray) -> float:
        """From the next frame on. Returns when its first sample is spoken."""
        self._says = samples_16k
        return self._begun_s + self._frames * FRAME_SAMPLES / INPUT_RATE_HZ

    def all(self, kind: type[E], after_s: float = -math.inf) -> list[tuple[float, E]]:
        return [(at_s, event) for at_s, event in self.heard if isinstance(event, kind) and at_s > after_s]

    async def until(self, kind: type[Event], timeout_s: float, after_s: float = -math.inf) -> float | None:
        """When the first event of that kind came after `after_s`; None if there is none in time."""
        try:
            async with asyncio.timeout(timeout_s):
                while not (found := self.all(kind, after_s)):
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            return None
        return found[0][0]

    async def _feed(self) -> None:
        room = np.random.default_rng(0)
        overlap = self._overlap
        while True:
            frame_s = self._begun_s + self._frames * FRAME_SAMPLES / INPUT_RATE_HZ
            due_s = frame_s + FRAME_SAMPLES / INPUT_RATE_HZ
            await asyncio.sleep(due_s - self._clock())
            self.late_s = max(self.late_s, self._clock() - due_s)
            frame = room.normal(0.0, 10 ** (ROOM_DBFS / 20), FRAME_SAMPLES).astype(np.float32)
            said, self._says = self._says[:FRAME_SAMPLES], self._says[FRAME_SAMPLES:]
            frame[: said.size] += said
            if overlap.echo_db is not None:
                echo = self._loudspeaker.sound(frame_s - overlap.echo_delay_ms / 1000, FRAME_SAMPLES)
                frame += np.float32(10 ** (overlap.echo_db / 20)) * echo
            self._frames += 1
            await self._conversation.feed(np.clip(frame, -1.0, 1.0))

    async def _listen(self) -> None:
        async for event in self._conversation.events():
            now_s = self._clock()
            self.heard.append((now_s, event))
            if isinstance(event, ReplyAudio):
                self.silences.append((now_s, self._loudspeaker.play(event.samples_24k, now_s)))
            elif isinstance(event, SpeechStarted):
                self._loudspeaker.stop(now_s)
            self._news.set()


async def measure(engine: Engine, opening: Fixture, overlap: Overlap) -> Outcome:
    clip, begins = overlap.clip, 0
    samples = np.zeros(0, np.float32)
    if clip is not None:
        samples = fixtures.read(clip, INPUT_RATE_HZ)
        if clip.language == NO_SPEECH:
            samples = samples[: round(NOISE_S * INPUT_RATE_HZ)]
        else:
            begins, _ = clip.speech_at(INPUT_RATE_HZ)
    error = stop_s = heard = None
    interrupted = answered = False
    gap_s = 0.0
    async with Conversation(engine) as conversation, Call(conversation, overlap) as call:
        call.say(fixtures.read(opening, INPUT_RATE_HZ))
        reply_s = await call.until(ReplyAudio, opening.duration_s + FIRST_REPLY_S)
        if reply_s is None:
            error = "the opening sentence was not answered"
        else:
            await asyncio.sleep(HEARD_BEFORE_S)
            said_s = call.say(samples)
            spoken_s = said_s + begins / INPUT_RATE_HZ
            await call.until(
                SpeechStarted, samples.size / INPUT_RATE_HZ + (ECHO_S if clip is None else SETTLED_S), said_s
            )
            begun = call.all(SpeechStarted, said_s)
            interrupted = bool(begun)
            if interrupted:
                until_s = begun[0][0]
                sent = [at_s for at_s, _ in call.all(ReplyAudio) if at_s <= until_s]
                stop_s = max(0.0, sent[-1] - spoken_s)
                answered = await call.until(ReplyAudio, FIRST_REPLY_S, until_s) is not None
                heard = next(iter(call.all(Transcribed, until_s)), None)
            elif call.all(ReplyDone, said_s):
                error = "the reply was over too soon"
            gap_s = max((s for at_s, s in call.silences if at_s > said_s and not interrupted), default=0.0)
    return Outcome(
        condition=overlap.condition,
        language=overlap.language,
        clip=clip.id if clip else None,
        said=clip.transcript if clip else None,
        echo_db=overlap.echo_db,
        echo_delay_ms=overlap.echo_delay_ms,
        interrupted=interrupted,
        stop_s=stop_s,
        gap_s=gap_s,
        answered=answered,
        heard=heard[1].text if heard else None,
        heard_in=heard[1].language if heard else None,
        late_s=call.late_s,
        error=error,
    )
