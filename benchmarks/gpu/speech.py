"""Hearing and speaking: Whisper, Kokoro and VITS through the engines of the profiles."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from benchmarks.gpu.records import Row, Scenario, Stopwatch, Took
from benchmarks.gpu.shapes import Shapes, write_vits, write_whisper
from benchmarks.gpu.work import Work, counted
from pipeline.languages import Language
from pipeline.loading import load_text_to_speech
from pipeline.profiles.engines import Device, TorchKokoro, Vits
from pipeline.stopping import Stop
from pipeline.stt.whisper.decoding import Decoder
from pipeline.tts.base import TextToSpeech
from pipeline.weights import WeightsError, WeightStore

CLAUSE = "Thank you, I have found your booking for tomorrow evening."
KOREAN = "네, 내일 저녁 예약을 찾았습니다."
_KOKORO_FIRST = "Kokoro, until the first sound"
_KOKORO_WHOLE = "Kokoro, the whole clause"
_VITS = "VITS (Korean), the whole clause"
_PROMPT = (1, 2, 3, 4)
_NEVER = -1
"""No token ends what a random network writes."""


class Hearing:
    """Whisper on a window of noise, from a draft, as at the pause after the last word."""

    def __init__(self, shapes: Shapes, scenario: Scenario, device: Device) -> None:
        from pipeline.stt.whisper.torch_network import TorchNetwork

        with TemporaryDirectory() as folder:
            write_whisper(shapes.whisper, Path(folder), device=device)
            dtype = "float16" if device == "cuda" else "float32"
            self._network = TorchNetwork(Path(folder), range(7), range(7, 12), device=device, dtype=dtype)
        self._decoder = Decoder(self._network, _NEVER)
        self._scenario = scenario
        shape, seconds = shapes.whisper, scenario.window_s
        self._mel = np.random.default_rng(0).normal(size=(1, shape.mels, round(100 * seconds))).astype(np.float32)
        drafted = shape.write(len(_PROMPT) + scenario.drafted, seconds)
        left = shape.write(1, seconds).times(scenario.said - scenario.drafted)
        self.hear_work = shape.hear(seconds)
        self.write_work = shape.remember(seconds) + drafted + left
        said, _ = self._decoder.write(self.hear(), _PROMPT, (), scenario.said, scenario.said, Stop())
        self._draft = said.tokens[: scenario.drafted]

    def hear(self) -> object:
        return self._network.hear(self._mel, Stop(), quick=True)

    def write(self, heard: object) -> list[int]:
        most = self._scenario.said
        said, _ = self._decoder.write(heard, _PROMPT, self._draft, most, most, Stop())
        return said.tokens

    def transcribe(self) -> list[int]:
        return self.write(self.hear())


def kokoro(device: Device) -> TextToSpeech | None:
    """With its real weights; None where they cannot be had."""
    try:
        return load_text_to_speech(TorchKokoro("kokoro", device), WeightStore())
    except WeightsError:
        return None


def vits(shapes: Shapes, device: Device) -> TextToSpeech:
    with TemporaryDirectory() as folder:
        write_vits(shapes.vits, Path(folder))
        return load_text_to_speech(Vits(folder, "", device), WeightStore())


def first_sound(speaking: TextToSpeech, language: Language = Language.EN, text: str = CLAUSE) -> object:
    voice = speaking.voices[language][0]
    return next(iter(speaking.speak(text, language, voice, speed=1.0, stop=Stop())))


def whole_clause(speaking: TextToSpeech) -> object:
    voice = speaking.voices[Language.EN][0]
    return list(speaking.speak(CLAUSE, Language.EN, voice, speed=1.0, stop=Stop()))


def speaking_works(shapes: Shapes) -> dict[str, Work]:
    """What speaking takes, counted on a CPU. Without Kokoro where its weights cannot be had."""
    works = {}
    if (english := kokoro("cpu")) is not None:
        works[_KOKORO_FIRST] = counted(partial(first_sound, english))
        works[_KOKORO_WHOLE] = counted(partial(whole_clause, english))
    korean = vits(shapes, "cpu")
    works[_VITS] = counted(partial(first_sound, korean, Language.KO, KOREAN))
    return works


def stages(
    hearing: Hearing, english: TextToSpeech | None, shapes: Shapes, scenario: Scenario, clock: Stopwatch
) -> Iterator[Row]:
    """Each stage by itself, warm."""
    works = speaking_works(shapes)
    heard, _ = clock.time(hearing.hear)
    rows: list[tuple[str, Callable[[], object], Work]] = [
        ("Whisper, encoder", hearing.hear, hearing.hear_work),
        ("Whisper, decoder from a draft", lambda: hearing.write(heard), hearing.write_work),
    ]
    if english is not None:
        rows += [
            (_KOKORO_FIRST, partial(first_sound, english), works[_KOKORO_FIRST]),
            (_KOKORO_WHOLE, partial(whole_clause, english), works[_KOKORO_WHOLE]),
        ]
    korean = vits(shapes, clock.device)
    rows.append((_VITS, partial(first_sound, korean, Language.KO, KOREAN), works[_VITS]))
    for what, run, work in rows:
        for _ in range(3):
            run()
        took: list[Took] = [clock.time(run)[1] for _ in range(scenario.turns)]
        yield clock.row("stage", what, took, work)
