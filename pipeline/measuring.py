"""What a typical turn costs each worker on this machine, and so how many conversations it can carry."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from pipeline.audio import INPUT_RATE_HZ, OUTPUT_RATE_HZ, FloatArray, StreamResampler
from pipeline.capacity import PROCESSOR, Capacity, capacity, cores
from pipeline.engine import Engine
from pipeline.languages import Language
from pipeline.lm.base import Message
from pipeline.vad import FRAME_SAMPLES

T = TypeVar("T")

_SAID = "Of course, I can help you with that today."
_TIMES = 2


async def measure(engine: Engine) -> Capacity:
    """Let the models of a warm engine, which does nothing else, do what a typical turn asks of them, in English.

    What the synthesiser says is the caller's speech, too. Each model is timed twice and the shorter time counts, for
    the machine may be at something else. Takes a few seconds.
    """
    load = engine.profile.load
    sounds_24k, speaking = await _timed(engine, lambda: _speak(engine))
    sound_24k = np.concatenate(sounds_24k)
    sound_16k = StreamResampler(OUTPUT_RATE_HZ, INPUT_RATE_HZ).push(sound_24k, last=True)
    speech = np.resize(sound_16k, round(load.speech_s * INPUT_RATE_HZ))
    # Without a deadline, as it is where others are being answered: not in haste.
    _, hearing = await _timed(engine, lambda: engine.transcribe(speech, dict.fromkeys(Language, 1.0)))
    _, asking = await _timed(engine, lambda: engine.completeness(speech))
    _, thinking = await _timed(engine, lambda: _think(engine))
    _, noticing = await _timed(engine, lambda: _notice(engine, speech))

    hearing, asking, thinking = (cost.times(load.pauses) for cost in (hearing, asking, thinking))
    speaking = speaking.times(load.reply_s * OUTPUT_RATE_HZ / sound_24k.size)
    noticing = noticing.times(load.turn_s / load.speech_s)
    processor_s = sum(cost.processor_s for cost in (hearing, asking, thinking, speaking, noticing))
    busy_s = {
        "end-of-turn": asking.busy_s,
        "speech-to-text": hearing.busy_s,
        "language-model": thinking.busy_s / engine.profile.replies_at_once,
        "text-to-speech": speaking.busy_s,
        PROCESSOR: processor_s / cores(),
    }
    return capacity(busy_s, load)


@dataclass(frozen=True, slots=True)
class _Cost:
    """Seconds: how long somebody is busy, and how much time of processors, of all there are, that takes."""

    busy_s: float
    processor_s: float

    def times(self, factor: float) -> _Cost:
        return _Cost(self.busy_s * factor, self.processor_s * factor)


async def _timed(engine: Engine, work: Callable[[], Awaitable[T]]) -> tuple[T, _Cost]:
    clock = asyncio.get_running_loop().time
    costs = []
    for _ in range(_TIMES):
        processor_s = await asyncio.to_thread(engine.processor_s)
        began_s = clock()
        result = await work()
        busy_s = clock() - began_s
        costs.append(_Cost(busy_s, await asyncio.to_thread(engine.processor_s) - processor_s))
    return result, min(costs, key=lambda cost: cost.busy_s)


async def _speak(engine: Engine) -> list[FloatArray]:
    """As many clauses as are spoken at once: for each, the synthesiser is busy for so much less."""
    voice = engine.voice(Language.EN, None)

    async def clause() -> FloatArray:
        return np.concatenate(await _all(engine.speak(_SAID, Language.EN, voice, 1.0, deadline_s=0.0)))

    return await asyncio.gather(*(clause() for _ in range(engine.profile.clauses_at_once)))


async def _think(engine: Engine) -> None:
    most = engine.profile.language_model.max_reply_tokens
    await _all(engine.reply([Message("user", _SAID)], Language.EN, most))
    if engine.tells_ends(Language.EN):
        await engine.sentence_ends(_SAID, Language.EN)


async def _notice(engine: Engine, speech_16k: FloatArray) -> None:
    stream = engine.voice_activity()
    whole = speech_16k.size // FRAME_SAMPLES * FRAME_SAMPLES
    for frame in speech_16k[:whole].reshape(-1, FRAME_SAMPLES):
        stream.probability(frame)


async def _all(pieces: AsyncGenerator[T]) -> list[T]:
    async with aclosing(pieces):
        return [piece async for piece in pieces]
