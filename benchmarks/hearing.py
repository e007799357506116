"""`hearing`: what the window that fits costs and gains, which languages are taken for which, and how engines agree."""

from __future__ import annotations

import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import click
import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.bars import Bar, settle
from benchmarks.callers import progress
from benchmarks.last_pause import last_pause
from benchmarks.whisper_conversion import convert
from harness import fixtures
from harness.fixtures import LANGUAGES, Fixture
from harness.measures import words
from harness.measures.words import Errors
from harness.replay import end_of_speech_s
from pipeline.audio import INPUT_RATE_HZ, FloatArray
from pipeline.languages import Language
from pipeline.loading import load_speech_to_text
from pipeline.profiles import load_profile
from pipeline.profiles.engines import FasterWhisper, TransformersWhisper
from pipeline.stopping import Stop
from pipeline.stt.base import SpeechToText, Transcript
from pipeline.stt.windows import FULL_WINDOW_S
from pipeline.vad import SileroVoiceActivity
from pipeline.weights import WeightStore

AFTER_S = 0.2
"""More silence has been heard at no pause, as a rule."""
WORSE_LIMIT = 1.0
APART_LIMIT = 0.5
TIME_LIMIT = 1 / 3
TURNS = 3


@click.group()
def hearing() -> None:
    """What is heard: in the window that fits, and in which language."""


@hearing.command()
def windows() -> None:
    """Word error and time: the whole window of 30 s against the one that fits, without and with a draft.

    Each recording is spoken to a turn of the pipeline, as fast as it can be heard. What that has transcribed at the
    pause after the last word is transcribed again in three ways that take turns, three times each, in haste. Takes
    about eight minutes.
    """
    fitting, full = _whisper(), _whisper(shortest_window_s=FULL_WINDOW_S)
    voice_activity, settings = SileroVoiceActivity(WeightStore().path("silero-vad")), load_profile("embedded").turns
    table = Table(
        "language", "clips", "30 s", "fitting", "with draft", "30 s", "fitting", "with draft", title="Hearing"
    )
    bars: list[Bar] = []
    clips = fixtures.available("recorded", LANGUAGES, None)
    errors: dict[str, list[list[Errors]]] = {code: [[], [], []] for code in LANGUAGES}
    taken_s: dict[str, list[list[float]]] = {code: [[], [], []] for code in LANGUAGES}
    with progress() as bar:
        for clip in bar.track(clips, description="listening"):
            language, samples_16k = Language(clip.language), fixtures.read(clip, INPUT_RATE_HZ)
            pause = last_pause(samples_16k, language, fitting, voice_activity, settings)
            tries = [
                (full, pause.turn_16k, None),
                (fitting, pause.turn_16k, None),
                (fitting, pause.piece_16k, pause.draft),
            ]
            whole, alone, _ = heard = _in_turns(tries, {language: 1.0})
            for number, text in enumerate((whole.text, alone.text, pause.text)):
                errors[clip.language][number].append(words.compare(clip.transcript, text, clip.language).counts)
                taken_s[clip.language][number].append(heard[number].lasted_s)
    for code in LANGUAGES:
        rates = [100 * total.errors / total.units for total in map(words.total, errors[code])]
        medians = [float(np.median(times)) for times in taken_s[code]]
        table.add_row(
            code,
            str(len(errors[code][0])),
            *(f"{rate:.1f} %" for rate in rates),
            *(f"{seconds:.2f} s" for seconds in medians),
        )
        bars.append(Bar(f"{code}: error with draft, above that of 30 s", rates[2] - rates[0], "points", WORSE_LIMIT))
        bars.append(Bar(f"{code}: time with draft, by that of 30 s", medians[2] / medians[0], "", TIME_LIMIT))
    Console().print(table)
    settle("The window that fits, with a draft", bars)


class _Heard(NamedTuple):
    text: str
    lasted_s: float


def _in_turns(
    tries: Sequence[tuple[SpeechToText, FloatArray, Transcript | None]], likely: dict[Language, float]
) -> list[_Heard]:
    """What each way of hearing understands, and how long it takes: the median of `TURNS`, seconds. They take turns, so
    that a machine which is slow for a while is slow for all.
    """
    taken_s: list[list[float]] = [[] for _ in tries]
    for _ in range(TURNS):
        texts = []
        for (whisper, samples_16k, draft), times_s in zip(tries, taken_s, strict=True):
            began_s = time.perf_counter()
            texts.append(whisper.transcribe(samples_16k, likely, draft=draft, stop=Stop()).text)
            times_s.append(time.perf_counter() - began_s)
    return [_Heard(text, float(np.median(times_s))) for text, times_s in zip(texts, taken_s, strict=True)]


@hearing.command()
def languages() -> None:
    """Which language each recording is taken for, all six being as likely. Takes about two minutes."""
    whisper = _whisper()
    likely = dict.fromkeys(Language, 1.0)
    heard: Counter[tuple[str, str]] = Counter()
    with progress() as bar:
        for clip in bar.track(fixtures.available("recorded", LANGUAGES, None), description="listening"):
            transcript = whisper.transcribe(_until_pause(clip), likely, draft=None, stop=Stop())
            heard[clip.language, transcript.language] += 1
    table = Table("spoken", *(f"heard {code}" for code in LANGUAGES), title="Languages")
    for code in LANGUAGES:
        table.add_row(code, *(str(heard[code, other]) for other in LANGUAGES))
    Console().print(table)
    wrong = sum(count for (spoken, other), count in heard.items() if spoken != other)
    settle("Languages", [Bar("taken for another", 100 * wrong / heard.total(), "%")])


@hearing.command()
def engines() -> None:
    """Word error of the same weights in every engine of Whisper, over all recordings.

    CTranslate2 and transformers compute in float32 here, the embedded engine in 8 bits, as always. Needs the gpu extra.
    Takes about ten minutes.
    """
    with tempfile.TemporaryDirectory() as folder:
        convert(WeightStore().path("whisper-base"), Path(folder))
        hearers = _engines(folder)
        errors: dict[str, dict[str, list[Errors]]] = {name: {code: [] for code in LANGUAGES} for name in hearers}
        clips = [clip for tier in ("recorded", "synthetic") for clip in fixtures.available(tier, LANGUAGES, None)]
        with progress() as bar:
            for clip in bar.track(clips, description="listening"):
                likely = {Language(clip.language): 1.0}
                for name, engine in hearers.items():
                    heard = engine.transcribe(_until_pause(clip), likely, draft=None, stop=Stop())
                    counts = words.compare(clip.transcript, heard.text, clip.language).counts
                    errors[name][clip.language].append(counts)
    table = Table("language", "clips", *hearers, title="The same weights")
    for code in LANGUAGES:
        rates = (f"{_rate(errors[name][code]):.1f} %" for name in hearers)
        table.add_row(code, str(len(errors["transformers"][code])), *rates)
    together = {name: _rate([one for code in LANGUAGES for one in errors[name][code]]) for name in hearers}
    table.add_row("all", str(len(clips)), *(f"{rate:.2f} %" for rate in together.values()))
    Console().print(table)
    apart = abs(together["transformers"] - together["faster-whisper"])
    settle("The same weights", [Bar("transformers and faster-whisper apart", apart, "points", APART_LIMIT)])


def _engines(converted: str) -> dict[str, SpeechToText]:
    whisper = load_profile("embedded").engines["whisper"]
    window = {name: getattr(whisper, name) for name in ("shortest_window_s", "padding_s")}
    settings = {
        "whisper": whisper,
        "faster-whisper": FasterWhisper("whisper-base", "", "cpu", "float32", 1, **window),
        "transformers": TransformersWhisper(converted, "", "cpu", "float32", **window),
    }
    return {name: load_speech_to_text(one, WeightStore()) for name, one in settings.items()}


def _rate(errors: list[Errors]) -> float:
    total = words.total(errors)
    return 100 * total.errors / total.units


def _whisper(**other: float) -> SpeechToText:
    """That of the embedded profile, with other settings where they are given."""
    settings = load_profile("embedded").engines["whisper"]
    return load_speech_to_text(replace(settings, **other), WeightStore())


def _until_pause(clip: Fixture) -> FloatArray:
    """The clip as it has been heard when the pause after its last word is noticed."""
    samples_16k = np.pad(fixtures.read(clip, INPUT_RATE_HZ), (0, INPUT_RATE_HZ))
    return samples_16k[: round((end_of_speech_s(clip) + AFTER_S) * INPUT_RATE_HZ)]
