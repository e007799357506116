"""Whisper on onnxruntime: the same words as CTranslate2 hears, with a draft and without, and stopped when told to."""

from __future__ import annotations

import struct
import threading
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness import fixtures
from harness.measures import words
from pipeline.audio import INPUT_RATE_HZ, FloatArray
from pipeline.languages import Language
from pipeline.remote import RemoteSpeechToText
from pipeline.stopping import Stop, Stopped
from pipeline.stt.base import SpeechToText, Transcript
from pipeline.stt.faster_whisper import FasterWhisper
from pipeline.stt.whisper import Whisper
from pipeline.stt.whisper.onnx_network import OnnxNetwork
from pipeline.stt.whisper.weights import ModelFileError, read_weights
from pipeline.weights import WeightStore

ALL = dict.fromkeys(Language, 1.0)
CLIPS = fixtures.available("synthetic", [*Language], None)


@pytest.fixture(scope="module")
def whisper(weights: WeightStore) -> Whisper:
    network = partial(OnnxNetwork, threads=2)
    return Whisper(weights.path("whisper-base"), network, shortest_window_s=6.0, padding_s=2.0)


@pytest.fixture(scope="module")
def reference(weights: WeightStore) -> FasterWhisper:
    folder = weights.path("whisper-base")
    return FasterWhisper(folder, device="cpu", compute_type="int8", threads=2, shortest_window_s=6.0, padding_s=2.0)


def samples(clip: fixtures.Fixture) -> FloatArray:
    return fixtures.read(clip, INPUT_RATE_HZ).astype(np.float32)


def letters(text: str) -> str:
    return "".join(letter for letter in text.lower() if letter.isalnum())


@pytest.mark.models
def test_it_hears_what_ctranslate2_hears(whisper: Whisper, reference: FasterWhisper) -> None:
    compared = []
    for clip in CLIPS:
        heard, expected = (
            engine.transcribe(samples(clip), {Language(clip.language): 1.0}, draft=None, stop=Stop()).text
            for engine in (whisper, reference)
        )
        compared.append(words.compare(expected, heard, clip.language).counts)
    # They round differently, so where two words are about as likely they may choose differently.
    together = words.total(compared)
    assert together.errors / together.units < 0.02


@pytest.mark.models
@pytest.mark.parametrize("clip", CLIPS, ids=lambda clip: clip.id)
def test_it_tells_the_six_languages_apart(whisper: Whisper, clip: fixtures.Fixture) -> None:
    assert whisper.transcribe(samples(clip), ALL, draft=None, stop=Stop()).language == clip.language


@pytest.mark.models
def test_haste_takes_a_second_thread_and_changes_nothing_else(
    whisper: Whisper, monkeypatch: pytest.MonkeyPatch
) -> None:
    network: Any = whisper._network
    took: list[str] = []

    def watched(name: str) -> None:
        run = getattr(network, name).run
        monkeypatch.setattr(getattr(network, name), "run", lambda *args: (took.append(name), run(*args))[1])

    watched("_encoder")
    watched("_quick_encoder")
    quick, slow = (
        whisper.transcribe(samples(CLIPS[0]), ALL, draft=None, quick=quick, stop=Stop()) for quick in (True, False)
    )
    assert took == ["_quick_encoder", "_encoder"]
    assert quick.tokens == slow.tokens
    assert quick.ends == pytest.approx(slow.ends, abs=0.02)


def test_haste_reaches_the_process_of_the_model() -> None:
    class Process:
        told: dict[str, Any]

        def call(self, *_: Any, **told: Any) -> Transcript:
            self.told = told
            return Transcript("", Language.EN)

    process: Any = Process()
    for quick in (True, False):
        RemoteSpeechToText(process, "whisper").transcribe(
            np.zeros(9, np.float32), ALL, draft=None, quick=quick, stop=Stop()
        )
        assert process.told["quick"] is quick


@pytest.mark.models
def test_a_draft_changes_nothing_but_the_time(whisper: Whisper) -> None:
    audio = samples(CLIPS[0])
    draft = whisper.transcribe(audio[: audio.size // 2], ALL, draft=None, stop=Stop())
    plain = whisper.transcribe(audio, ALL, draft=None, stop=Stop())
    drafted = whisper.transcribe(audio, ALL, draft=draft, stop=Stop())
    assert draft.text != plain.text
    assert drafted.text == plain.text
    assert drafted.tokens == plain.tokens
    assert drafted.ends == pytest.approx(plain.ends, abs=0.02)


@pytest.mark.models
def test_a_draft_of_other_words_or_in_another_language_is_overruled(whisper: Whisper) -> None:
    english, french = (next(clip for clip in CLIPS if clip.language == code) for code in ("en", "fr"))
    draft = whisper.transcribe(samples(english), ALL, draft=None, stop=Stop())
    heard = whisper.transcribe(samples(french), ALL, draft=draft, stop=Stop())
    assert heard == whisper.transcribe(samples(french), ALL, draft=None, stop=Stop())
    assert heard.language is Language.FR


@pytest.mark.models
def test_it_tells_a_finished_sentence_from_one_that_was_cut_short(whisper: Whisper) -> None:
    clip = CLIPS[0]
    audio = samples(clip)
    rate = INPUT_RATE_HZ / clip.rate_hz
    begin, end = (int((mark or 0) * rate) for mark in (clip.speech_start, clip.speech_end))
    finished = whisper.transcribe(audio, {Language.EN: 1.0}, draft=None, stop=Stop())
    short = whisper.transcribe(audio[: begin + (end - begin) // 3], {Language.EN: 1.0}, draft=None, stop=Stop())
    assert finished.ends is not None
    assert short.ends is not None
    assert short.ends < 0.8 < finished.ends


@pytest.mark.models
def test_silence_and_noise_are_heard_as_nothing(whisper: Whisper, reference: FasterWhisper) -> None:
    quiet = np.random.default_rng(0).normal(0, 1e-4, 2 * INPUT_RATE_HZ).astype(np.float32)
    engines: tuple[SpeechToText, ...] = (whisper, reference)
    assert [engine.transcribe(quiet, ALL, draft=None, stop=Stop()).text for engine in engines] == ["", ""]


@pytest.mark.models
def test_more_than_a_window_is_heard_to_its_end(whisper: Whisper) -> None:
    audio = samples(CLIPS[0])
    room = np.zeros(INPUT_RATE_HZ * 25, np.float32)
    heard = whisper.transcribe(np.concatenate([audio, room, audio]), ALL, draft=None, stop=Stop())
    alone = whisper.transcribe(audio, ALL, draft=None, stop=Stop())
    assert letters(heard.text).count(letters(alone.text)[-12:]) == 2


@pytest.mark.models
def test_it_stops_when_it_is_told_to(whisper: Whisper) -> None:
    stop = Stop()
    told = threading.Timer(0.05, stop.tell)
    told.start()
    long = np.random.default_rng(0).normal(0, 0.1, 28 * INPUT_RATE_HZ).astype(np.float32)
    with pytest.raises(Stopped):
        whisper.transcribe(long, ALL, draft=None, stop=stop)
    with pytest.raises(Stopped):
        whisper.transcribe(long, ALL, draft=None, stop=stop)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "ends at 0 bytes"),
        (struct.pack("<I", 99), "version 99"),
        (struct.pack("<IH", 6, 3) + b"\xff\xfe\0", "not a model of CTranslate2"),
        (struct.pack("<IH", 6, 2) + b"a\0" + struct.pack("<II", 3, 1), "in the middle of a record"),
    ],
)
def test_a_file_that_is_no_model_is_refused_with_the_reason(tmp_path: Path, content: bytes, why: str) -> None:
    file = tmp_path / "model.bin"
    file.write_bytes(content)
    with pytest.raises(ModelFileError, match=why):
        read_weights(file)
