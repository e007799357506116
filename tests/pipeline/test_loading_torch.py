"""A cascade of the gpu extra's engines, from a profile to a reply, with small models on a processor."""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np
import pytest

from pipeline.engine import Engine
from pipeline.languages import Language
from pipeline.lm.base import Message
from pipeline.loading import load_language_model, load_speech_to_text, load_text_to_speech
from pipeline.profiles import engines, load_profile
from pipeline.weights import WeightStore
from tests.pipeline.conformance.engines import GPU_EXTRA

pytestmark = [pytest.mark.models, *GPU_EXTRA]

PROFILE = """
name = "small"
based_on = "l4"

[engines.whisper-turbo]
kind = "transformers-whisper"
model = "{folder}/whisper"
revision = ""
device = "cpu"
dtype = "float32"
shortest_window_s = 8.0
padding_s = 2.0

[engines.llama-8b]
kind = "transformers"
model = "{folder}/llama"
revision = ""
gated = false
device = "cpu"
dtype = "float32"
conversations = 4
context_tokens = 600
cuda_graphs = true

[engines.kokoro]
kind = "kokoro"
model = "kokoro"
threads = 1
clauses = 1

[engines.mms-tts-kor]
kind = "vits"
model = "{folder}/vits"
revision = ""
device = "cpu"

[memory]
machine_gb = 1.0
gpu_gb = {{}}
"""


def test_the_l4_profile_answers_when_its_models_are_small(tmp_path: Path, weights: WeightStore) -> None:
    from tests.pipeline.conformance import tiny

    for name in ("whisper", "llama", "vits"):
        (tmp_path / name).mkdir()
    tiny.write_whisper(tmp_path / "whisper", weights.path("whisper-base") / "tokenizer.json")
    tiny.write_llama(tmp_path / "llama")
    tiny.write_vits(tmp_path / "vits")
    file = tmp_path / "small.toml"
    file.write_text(PROFILE.format(folder=tmp_path), encoding="utf-8")
    loaded: list[str] = []

    async def main() -> None:
        engine = await Engine.load(load_profile(str(file)), weights, on_loading=loaded.append)
        heard = await engine.transcribe(np.zeros(16_000, np.float32), {Language.KO: 1.0}, deadline_s=0.0)
        assert heard.language is Language.KO
        pieces = [piece async for piece in engine.reply([Message("user", "Hello")], Language.FR, 5)]
        assert pieces
        for language in (Language.EN, Language.KO):
            voice = engine.voice(language, None)
            spoken = [piece async for piece in engine.speak("안녕 hello.", language, voice, 1.0, deadline_s=0.0)]
            assert np.concatenate(spoken).size
        await engine.aclose()

    asyncio.run(main())
    assert any(what.startswith("language model: ") for what in loaded)


@pytest.mark.parametrize("stage", ["whisper", "llama", "vits"])
def test_nothing_is_drawn_into_the_log_of_a_server(
    stage: str, tmp_path: Path, weights: WeightStore, capfd: pytest.CaptureFixture[str]
) -> None:
    from transformers.utils import logging

    from tests.pipeline.conformance import tiny

    folder = str(tmp_path)
    match stage:
        case "whisper":
            tiny.write_whisper(tmp_path, weights.path("whisper-base") / "tokenizer.json")
        case "llama":
            tiny.write_llama(tmp_path)
        case "vits":
            tiny.write_vits(tmp_path)
    logging.enable_progress_bar()
    capfd.readouterr()
    match stage:
        case "whisper":
            load_speech_to_text(engines.TransformersWhisper(folder, "", "cpu", "float32", 8.0, 2.0), weights)
        case "llama":
            settings = engines.Transformers(folder, "", False, "cpu", "float32", 1, 64, cuda_graphs=False)
            load_language_model(settings, weights)
        case "vits":
            load_text_to_speech(engines.Vits(folder, "", "cpu"), weights)
    assert "Loading weights" not in capfd.readouterr().err
