"""Every engine there is, each as a test asks for it by name. What a later one adds here has to pass the whole suite."""

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
from pipeline.lm.echo import Echo
from pipeline.stt.base import SpeechToText
from pipeline.tts.base import TextToSpeech
from pipeline.weights import WeightStore
from tests.pipeline.conformance.chat_server import chat_server
from tests.pipeline.conformance.steps import Standing, Steps

GPU_EXTRA = (
    pytest.mark.gpu_extra,
    pytest.mark.skipif(
        not all(importlib.util.find_spec(package) for package in ("torch", "transformers", "uroman")),
        reason="needs the gpu extra: tox -e gpu",
    ),
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
    """

    engine: LanguageModel
    limited: bool = True
    written: Callable[[], int] | None = None


@dataclass
class Speaking:
    """`stoppable`: a clause takes long enough to be stopped in."""

    engine: TextToSpeech
    stoppable: bool = True
    steps: Steps = field(default_factory=Steps)


_WINDOW = {"shortest_window_s": 8.0, "padding_s": 2.0}


@contextmanager
def _whisper(folder: Path) -> Iterator[Hearing]:
    from pipeline.onnx_session import OnnxSession
    from pipeline.stt.whisper import Whisper
    from pipeline.stt.whisper.onnx_network import OnnxNetwork

    hearing = Hearing(Whisper(WeightStore().path("whisper-base"), partial(OnnxNetwork, threads=2), **_WINDOW), True)
    network: Any = hearing.engine._network  # type: ignore[attr-defined]  # what is counted is inside
    assert isinstance(network._decoder, OnnxSession)
    hearing.steps.count(network, "hear", "read")
    yield hearing


@contextmanager
def _faster_whisper(folder: Path) -> Iterator[Hearing]:
    from pipeline.stt.faster_whisper import FasterWhisper

    source = WeightStore().path("whisper-base")
    engine = FasterWhisper(source, device="cpu", compute_type="int8", threads=2, **_WINDOW)
    hearing = Hearing(engine, True)
    engine._model = Standing(engine._model)
    hearing.steps.count(engine._model, "encode", "generate")
    yield hearing


@contextmanager
def _transformers_whisper(folder: Path) -> Iterator[Hearing]:
    from pipeline.stt.whisper import Whisper
    from pipeline.stt.whisper.torch_network import TorchNetwork
    from tests.pipeline.conformance.tiny import write_whisper

    write_whisper(folder, WeightStore().path("whisper-base") / "tokenizer.json")
    engine = Whisper(folder, partial(TorchNetwork, device="cpu", dtype="float32"), **_WINDOW)
    hearing = Hearing(engine, False)
    hearing.steps.count(engine._network, "hear", "read")
    yield hearing


@contextmanager
def _echo(folder: Path) -> Iterator[Thinking]:
    yield Thinking(Echo(), limited=False)


@contextmanager
def _llama(folder: Path) -> Iterator[Thinking]:
    from pipeline.lm.llama import Llama

    file = WeightStore().path("smollm2") / "SmolLM2-135M-Instruct.Q4_1.gguf"
    yield Thinking(Llama(file, conversations=2, context_tokens=512))


@contextmanager
def _transformers(folder: Path, *, write: str) -> Iterator[Thinking]:
    from pipeline.lm.transformers import Transformers
    from tests.pipeline.conformance import tiny

    getattr(tiny, write)(folder)
    engine = Transformers(folder, device="cpu", dtype="float32", conversations=3, context_tokens=600, cuda_graphs=True)
    steps = Steps()
    steps.count(engine._batch._decoding, "step")
    yield Thinking(engine, written=lambda: steps.begun)


@contextmanager
def _openai(folder: Path) -> Iterator[Thinking]:
    from pipeline.lm.openai import OpenAI

    with chat_server() as server:
        yield Thinking(OpenAI(server.address, "small", key=None, key_variable="", stall_s=20.0, request={}))


@contextmanager
def _kokoro(folder: Path) -> Iterator[Speaking]:
    from pipeline.tts.kokoro import Kokoro
    from pipeline.tts.kokoro.onnx_network import OnnxNetwork

    engine = Kokoro(WeightStore().path("kokoro"), partial(OnnxNetwork, threads=2))
    speaking = Speaking(engine)
    speaking.steps.count(engine._network, "plan", "sound")
    yield speaking


@contextmanager
def _torch_kokoro(folder: Path) -> Iterator[Speaking]:
    from pipeline.tts.kokoro import Kokoro
    from pipeline.tts.kokoro.torch_network import TorchNetwork

    engine = Kokoro(WeightStore().path("kokoro"), partial(TorchNetwork, device="cpu"))
    speaking = Speaking(engine)
    speaking.steps.count(engine._network, "plan", "sound")
    yield speaking


@contextmanager
def _espeak(folder: Path) -> Iterator[Speaking]:
    from pipeline.tts.espeak import Espeak

    yield Speaking(Espeak(), stoppable=False)


@contextmanager
def _vits(folder: Path) -> Iterator[Speaking]:
    from pipeline.tts.vits import Vits
    from tests.pipeline.conformance.tiny import write_vits

    write_vits(folder)
    engine = Vits(folder, device="cpu")
    speaking = Speaking(engine)
    for layer in engine._model.decoder.resblocks:
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
