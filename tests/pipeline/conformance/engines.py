"""Every engine there is, loaded as a profile's would be. What a later one adds here has to pass the whole suite.

What is counted of an engine is inside it, so its private parts are looked at here, and nowhere else.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from pipeline.lm.base import LanguageModel
from pipeline.loading import load_language_model, load_speech_to_text, load_text_to_speech
from pipeline.profiles import engines
from pipeline.stt.base import SpeechToText
from pipeline.tts.base import TextToSpeech
from pipeline.weights import WeightStore
from tests.pipeline.conformance.chat_server import chat_server
from tests.pipeline.conformance.steps import Standing, Steps

_INSTALLED = all(importlib.util.find_spec(package) for package in ("torch", "transformers", "uroman"))
GPU_EXTRA = (
    pytest.mark.gpu_extra,
    pytest.mark.skipif(not _INSTALLED, reason="needs the gpu extra: tox -e gpu"),
)
MODELS = (pytest.mark.models,)


@dataclass
class Hearing:
    """`understands`: it has real weights."""

    engine: SpeechToText
    understands: bool
    steps: Steps = field(default_factory=Steps)


@dataclass
class Thinking:
    """Attributes:
    limited: it keeps to max_tokens, and has a context that can be full.
    written: how many steps of writing it has begun; None of one where nobody can look.
    rounds_alike: what it writes for several at once is rounded as what it writes for one. Where it is not, nearly equal
        words change places, and the steps themselves are tested (`test_llama_int8.py`).
    """

    engine: LanguageModel
    limited: bool = True
    written: Callable[[], int] | None = None
    rounds_alike: bool = True


@dataclass
class Speaking:
    """`stoppable`: a clause takes long enough to be stopped in."""

    engine: TextToSpeech
    stoppable: bool = True
    steps: Steps = field(default_factory=Steps)


_WINDOW = {"shortest_window_s": 8.0, "padding_s": 2.0}


@contextmanager
def _whisper(folder: Path) -> Iterator[Hearing]:
    yield _heard(engines.Whisper("whisper-base", 2, **_WINDOW), understands=True)


@contextmanager
def _transformers_whisper(folder: Path) -> Iterator[Hearing]:
    from tests.pipeline.conformance.tiny import write_whisper

    write_whisper(folder, WeightStore().path("whisper-base") / "tokenizer.json")
    yield _heard(engines.TransformersWhisper(str(folder), "", "cpu", "float32", **_WINDOW), understands=False)


def _heard(settings: engines.EngineSettings, *, understands: bool) -> Hearing:
    hearing = Hearing(load_speech_to_text(settings, WeightStore()), understands)
    hearing.steps.count(hearing.engine._network, "hear", "read")
    return hearing


@contextmanager
def _faster_whisper(folder: Path) -> Iterator[Hearing]:
    settings = engines.FasterWhisper("whisper-base", "", "cpu", "int8", 2, **_WINDOW)
    hearing = Hearing(load_speech_to_text(settings, WeightStore()), True)
    hearing.engine._model = Standing(hearing.engine._model)
    hearing.steps.count(hearing.engine._model, "encode", "generate")
    yield hearing


@contextmanager
def _echo(folder: Path) -> Iterator[Thinking]:
    yield Thinking(load_language_model(engines.Echo(), WeightStore()), limited=False)


@contextmanager
def _llama(folder: Path) -> Iterator[Thinking]:
    settings = engines.Llama("smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf", conversations=2, context_tokens=512)
    yield Thinking(load_language_model(settings, WeightStore()))


@contextmanager
def _llama_int8(folder: Path) -> Iterator[Thinking]:
    settings = engines.LlamaInt8(
        "smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf", conversations=2, context_tokens=512, threads=2
    )
    engine = load_language_model(settings, WeightStore())
    steps = Steps()
    steps.count(engine._decoding, "step", "verify")
    yield Thinking(engine, written=lambda: steps.begun, rounds_alike=False)


@contextmanager
def _transformers(folder: Path, *, write: str) -> Iterator[Thinking]:
    from tests.pipeline.conformance import tiny

    getattr(tiny, write)(folder)
    settings = engines.Transformers(
        str(folder), "", False, "cpu", "float32", conversations=3, context_tokens=600, cuda_graphs=True
    )
    engine = load_language_model(settings, WeightStore())
    steps = Steps()
    steps.count(engine._batch._decoding, "step")
    yield Thinking(engine, written=lambda: steps.begun)


@contextmanager
def _openai(folder: Path) -> Iterator[Thinking]:
    with chat_server() as server:
        settings = engines.OpenAI(server.address, "small", 4, "", 20.0, {})
        yield Thinking(load_language_model(settings, WeightStore()))


@contextmanager
def _kokoro(folder: Path) -> Iterator[Speaking]:
    yield _spoken(engines.Kokoro("kokoro", threads=2, clauses=1))


@contextmanager
def _torch_kokoro(folder: Path) -> Iterator[Speaking]:
    yield _spoken(engines.TorchKokoro("kokoro", "cpu"))


def _spoken(settings: engines.EngineSettings) -> Speaking:
    speaking = Speaking(load_text_to_speech(settings, WeightStore()))
    speaking.steps.count(speaking.engine._network, "plan", "sound")
    return speaking


@contextmanager
def _espeak(folder: Path) -> Iterator[Speaking]:
    yield Speaking(load_text_to_speech(engines.Espeak(), WeightStore()), stoppable=False)


@contextmanager
def _vits(folder: Path) -> Iterator[Speaking]:
    from tests.pipeline.conformance.tiny import write_vits

    write_vits(folder)
    speaking = Speaking(load_text_to_speech(engines.Vits(str(folder), "", "cpu"), WeightStore()))
    for layer in speaking.engine._model.decoder.resblocks:
        speaking.steps.count(layer, "forward")
    yield speaking


HEARING = [
    pytest.param(_whisper, id="whisper", marks=MODELS),
    pytest.param(_faster_whisper, id="faster-whisper", marks=MODELS),
    pytest.param(_transformers_whisper, id="transformers-whisper", marks=(*MODELS, *GPU_EXTRA)),
]
THINKING = [
    pytest.param(_echo, id="echo"),
    pytest.param(_llama, id="llama", marks=MODELS),
    pytest.param(_llama_int8, id="llama-int8", marks=MODELS),
    pytest.param(partial(_transformers, write="write_qwen"), id="transformers-qwen", marks=GPU_EXTRA),
    pytest.param(partial(_transformers, write="write_llama"), id="transformers-llama", marks=GPU_EXTRA),
    pytest.param(_openai, id="openai"),
]
SPEAKING = [
    pytest.param(_kokoro, id="kokoro", marks=MODELS),
    pytest.param(_torch_kokoro, id="torch-kokoro", marks=(*MODELS, *GPU_EXTRA)),
    pytest.param(_espeak, id="espeak"),
    pytest.param(_vits, id="vits", marks=GPU_EXTRA),
]


def opened(request: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The engine of a fixture's parameter, for as long as the fixture lives."""
    with ExitStack() as stack:
        yield stack.enter_context(request.param(tmp_path_factory.mktemp("model")))
