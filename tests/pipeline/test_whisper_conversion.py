"""The same weights in both engines: they hear the same."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import pytest

from harness import fixtures
from harness.measures import words
from pipeline.audio import INPUT_RATE_HZ
from pipeline.languages import Language
from pipeline.stopping import Stop
from pipeline.stt.base import SpeechToText, Transcript
from pipeline.stt.faster_whisper import FasterWhisper
from pipeline.stt.whisper import Whisper
from pipeline.weights import WeightStore
from tests.pipeline.conformance.engines import GPU_EXTRA

pytestmark = [pytest.mark.models, *GPU_EXTRA]

CLIPS = fixtures.available("synthetic", [*Language], 1)
WINDOW = {"shortest_window_s": 8.0, "padding_s": 2.0}


@pytest.fixture(scope="module")
def engines(weights: WeightStore, tmp_path_factory: pytest.TempPathFactory) -> tuple[Whisper, FasterWhisper]:
    """Through transformers and through CTranslate2, both in float32."""
    from benchmarks.whisper_conversion import convert
    from pipeline.stt.whisper.torch_network import TorchNetwork

    source, target = weights.path("whisper-base"), tmp_path_factory.mktemp("converted")
    convert(source, target)
    network = partial(TorchNetwork, device="cpu", dtype="float32")
    reference = FasterWhisper(source, device="cpu", compute_type="float32", threads=1, **WINDOW)
    return Whisper(target, network, **WINDOW), reference


def heard(engine: SpeechToText, clip: fixtures.Fixture) -> Transcript:
    samples_16k = fixtures.read(clip, INPUT_RATE_HZ).astype(np.float32)
    return engine.transcribe(samples_16k, {Language(clip.language): 1.0}, draft=None, stop=Stop())


@pytest.mark.parametrize("clip", CLIPS, ids=lambda clip: clip.id)
def test_both_hear_the_same_words(engines: tuple[Whisper, FasterWhisper], clip: fixtures.Fixture) -> None:
    through_transformers, through_ctranslate2 = (heard(engine, clip) for engine in engines)
    assert words.compare(through_ctranslate2.text, through_transformers.text, clip.language).counts.errors == 0
    assert through_transformers.confidence == pytest.approx(through_ctranslate2.confidence, abs=0.05)


def test_what_is_no_whisper_is_not_converted(tmp_path: Path) -> None:
    from benchmarks.whisper_conversion import convert

    with pytest.raises(FileNotFoundError):
        convert(tmp_path, tmp_path / "out")
