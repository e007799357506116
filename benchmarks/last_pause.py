"""What is transcribed at the pause after the last word of a recording: by a turn of the pipeline that hears it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import cast

import numpy as np

from pipeline.audio import INPUT_RATE_HZ, FloatArray, level_dbfs
from pipeline.engine import Engine
from pipeline.hearing import AudioWindow
from pipeline.languages import Language
from pipeline.listening import Turn
from pipeline.profiles import TurnProfile
from pipeline.stopping import Stop
from pipeline.stt.base import SpeechToText, Transcript
from pipeline.tasks import Tasks
from pipeline.turns import Fading, Onset, Resumed, Silence, Speaking, TurnDetector
from pipeline.vad import FRAME_SAMPLES, VoiceActivity, VoiceActivityStream
from pipeline.worker import WHENEVER

SILENCE_S = 1.0
"""So much of it follows each recording."""


@dataclass(frozen=True, slots=True)
class LastPause:
    """The transcription that everybody waits for.

    Attributes:
        turn_16k: all of the turn until it began, float32 mono, shape (samples,).
        piece_16k: what of it was transcribed: all, or what came after a pause that settled what was said before.
        draft: what was understood of the piece before.
        text: of the whole turn.
    """

    turn_16k: FloatArray
    piece_16k: FloatArray
    draft: Transcript | None
    text: str


class _Ear:
    """Stands in for the engine of a turn, and does nothing but understand. While it does, the caller speaks on."""

    def __init__(self, speech_to_text: SpeechToText, audio: AudioWindow, clock: Callable[[], float]) -> None:
        self._speech_to_text = speech_to_text
        self._audio = audio
        self._clock = clock
        self.asked: tuple[float, FloatArray, Transcript | None] | None = None

    async def transcribe(
        self,
        samples_16k: FloatArray,
        languages: Mapping[Language, float],
        *,
        draft: Transcript | None = None,
        deadline_s: float = WHENEVER,
    ) -> Transcript:
        asked_at_s, began_s = self._audio.end_s, self._clock()
        quick = deadline_s < WHENEVER
        if quick:
            self.asked = asked_at_s, samples_16k, draft
        heard = self._speech_to_text.transcribe(samples_16k, languages, draft=draft, quick=quick, stop=Stop())
        known_at_s = asked_at_s + self._clock() - began_s
        while self._audio.end_s < known_at_s:  # noqa: ASYNC110  # one frame comes at each turn of the loop: the clock
            await asyncio.sleep(0)
        return heard

    def tells_ends(self, language: Language) -> bool:
        return False


def last_pause(
    samples_16k: FloatArray,
    language: Language,
    speech_to_text: SpeechToText,
    voice_activity: VoiceActivity,
    settings: TurnProfile,
    *,
    clock: Callable[[], float] = time.perf_counter,
) -> LastPause:
    """Speak a recording, float32 mono, shape (samples,), to a turn that nobody ends, as fast as it can be heard. What
    it takes to understand something is told by `clock`, in seconds.

    Raises:
        ValueError: nobody speaks in it, or nothing is understood in the silence behind it.
    """
    audio = AudioWindow()
    ear = _Ear(speech_to_text, audio, clock)
    return asyncio.run(_last_pause(samples_16k, language, ear, audio, voice_activity.stream(), settings))


async def _last_pause(
    samples_16k: FloatArray,
    language: Language,
    ear: _Ear,
    audio: AudioWindow,
    voice_activity: VoiceActivityStream,
    settings: TurnProfile,
) -> LastPause:
    detector, turn = TurnDetector(settings), None
    padded = np.pad(samples_16k, (0, round(SILENCE_S * INPUT_RATE_HZ)))
    async with Tasks() as tasks:
        for start in range(0, padded.size - FRAME_SAMPLES + 1, FRAME_SAMPLES):
            frame = padded[start : start + FRAME_SAMPLES]
            audio.append(frame)
            match detector.push(voice_activity.probability(frame), level_dbfs(frame)), turn:
                case Onset(start_s), _:
                    turn = Turn(
                        1,
                        start_s,
                        engine=cast(Engine, ear),
                        settings=settings,
                        audio=audio,
                        audio_from_s=max(0.0, start_s - settings.prefix_s),
                        likelihoods=lambda _: {language: 1.0},
                        sample_clock=lambda: audio.end_s,
                        spawn=tasks.spawn,
                        on_news=lambda _: None,
                        on_partial=lambda _: None,
                    )
                case Speaking(), Turn():
                    turn.go_on()
                case Fading(end_s), Turn():
                    turn.fade(end_s)
                case Silence(end_s, silence_s), Turn():
                    turn.pause(end_s, silence_s, ask=False)
                case Resumed(), Turn():
                    turn.resume()
            await asyncio.sleep(0)
        tasks.cancel()
    if turn is None or turn.transcript is None or ear.asked is None:
        raise ValueError(f"nothing was understood of it in the {SILENCE_S:g} s of silence behind it")
    until_s, piece_16k, draft = ear.asked
    turn_16k = padded[round(turn.audio_from_s * INPUT_RATE_HZ) : round(until_s * INPUT_RATE_HZ)]
    return LastPause(turn_16k, piece_16k, draft, turn.transcript.text)
