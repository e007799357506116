"""The edits of Kokoro's graph: each computes what it replaces, and the model sounds the same."""

from __future__ import annotations

import itertools
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from pipeline.audio import FloatArray
from pipeline.languages import Language
from pipeline.stopping import Stop
from pipeline.tts.kokoro import MODEL_FILE, VOICES, Kokoro, model_inputs, read_voice
from pipeline.tts.kokoro.activations import quicken_activations
from pipeline.tts.kokoro.convolutions import decoder_convolutions, quicken_convolutions
from pipeline.tts.kokoro.fourier import transform_by_convolution
from pipeline.tts.kokoro.graph import GraphEditor
from pipeline.tts.kokoro.model import prepared_model
from pipeline.tts.kokoro.onnx_network import OnnxNetwork
from pipeline.tts.kokoro.silence import leave_out_silence
from pipeline.tts.kokoro.windows import windows
from pipeline.tts.phonemes import Phonemizer
from pipeline.weights import WeightStore

GENERATOR = "/decoder/decoder/generator"


def graph_of(nodes: list[onnx.NodeProto], shape: list[Any], **constants: npt.NDArray[Any]) -> onnx.ModelProto:
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)


def run(model: onnx.ModelProto, **inputs: npt.NDArray[Any]) -> npt.NDArray[Any]:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, inputs)[0])


@given(st.lists(st.floats(-500, 500, width=32), min_size=1, max_size=50))
def test_a_squared_sine_is_one_to_a_thousandth(angles: list[float]) -> None:
    model = graph_of(
        [
            helper.make_node("Sin", ["x"], ["s"], name=f"{GENERATOR}/Sin"),
            helper.make_node("Pow", ["s", "two"], ["y"], name=f"{GENERATOR}/Pow"),
        ],
        [None],
        two=np.array(2.0, np.float32),
    )
    editor = GraphEditor(model)
    quicken_activations(editor)
    edited = editor.finish()
    assert "Sin" not in {node.op_type for node in edited.graph.node}
    x = np.array(angles, np.float32)
    np.testing.assert_allclose(run(edited, x=x), np.sin(x.astype(np.float64)) ** 2, atol=1e-3)


def test_a_transform_by_convolution_is_the_transform() -> None:
    window = np.hanning(21)[:20].astype(np.float32)
    model = graph_of(
        [helper.make_node("STFT", ["x", "step", "window", "length"], ["y"], onesided=1)],
        [1, None, 1],
        step=np.array(5),
        window=window,
        length=np.array(20),
    )
    editor = GraphEditor(model)
    transform_by_convolution(editor)
    samples = np.random.default_rng(0).standard_normal((1, 200, 1)).astype(np.float32)
    real, imaginary = np.moveaxis(run(editor.finish(), x=samples)[0], -1, 0)
    frames = np.stack([samples[0, start : start + 20, 0] * window for start in range(0, 181, 5)])
    np.testing.assert_allclose(real + 1j * imaginary, np.fft.rfft(frames), atol=1e-5)
    # Where there is no imaginary part the phase of what is negative is +π, never -π.
    assert np.all(imaginary[:, [0, -1]] > 0)


@pytest.fixture(scope="module")
def folder(weights: WeightStore) -> Path:
    return weights.path("kokoro")


def published(folder: Path) -> onnx.ModelProto:
    model = onnx.load(folder / MODEL_FILE)
    leave_out_silence(model.graph)
    return model


def bands_db(samples: FloatArray) -> npt.NDArray[np.float64]:
    """The level in 40 bands of 43 ms frames, shape (frames, 40)."""
    frames = np.lib.stride_tricks.sliding_window_view(samples, 1024)[::256] * np.hanning(1024)
    power = np.abs(np.fft.rfft(frames)) ** 2
    edges = np.unique(np.round(np.geomspace(4, 500, 41)).astype(int))
    bands = [power[:, low:high].sum(axis=1) for low, high in itertools.pairwise(edges)]
    return np.asarray(10 * np.log10(np.stack(bands, axis=1) + 1e-4))


def distance_db(one: FloatArray, other: FloatArray) -> float:
    """Between two spectra, where the first is loud."""
    first, second = bands_db(one), bands_db(other)
    loud = first.max(axis=1) > first.max() - 35
    return float(np.sqrt(np.mean(np.square(first - second)[loud])))


@pytest.mark.models
@pytest.mark.parametrize(
    ("language", "text"),
    [
        (Language.EN, "It leaves at noon, from the platform by the river."),
        (Language.EN, "Of course,"),
        (Language.FR, "Je suis désolé d'apprendre que vous n'allez pas bien."),
        (Language.ZH, "法国的首都是巴黎，"),
    ],
)
def test_the_edited_model_sounds_like_the_published_one(folder: Path, language: Language, text: str) -> None:
    sounds = Phonemizer((language,))(text, language)
    voice = VOICES[language][0]
    original = run(published(folder), **model_inputs(sounds, read_voice(folder, voice), 1.0))
    edited = np.concatenate(list(Kokoro(folder, partial(OnnxNetwork, threads=2)).stretches(sounds, voice, 1.0, Stop())))
    assert edited.size == original.size
    # Two runs that differ in nothing but how they are quantised are 2.5 dB apart, two voices more than 10.
    assert distance_db(original, edited) < 6
    assert edited.std() / original.std() == pytest.approx(1.0, abs=0.35)


@pytest.mark.models
def test_every_heavy_convolution_and_every_sine_of_the_decoder_is_replaced(folder: Path) -> None:
    editor = GraphEditor(published(folder))
    assert len(decoder_convolutions(editor)) == 66
    halves = prepared_model(folder / MODEL_FILE)
    nodes = [node for half in (halves.plan, halves.generator) for node in onnx.load_from_string(half).graph.node]
    assert sum(node.op_type == "QLinearConv" for node in nodes) == 66
    assert not [node for node in nodes if node.op_type == "Sin" and "resblocks" in node.name]
    assert not [node for node in nodes if node.op_type == "STFT"]


@pytest.mark.models
def test_the_generator_measures_nothing_over_the_whole_clause(folder: Path) -> None:
    generator = onnx.load_from_string(prepared_model(folder / MODEL_FILE).generator)
    assert not [node for node in generator.graph.node if node.op_type == "ReduceMean"]


@given(st.integers(1, 2000))
def test_windows_are_all_of_the_clause_once(steps: int) -> None:
    whole = list(windows(steps))
    assert [window.first for window in whole] == [0, *(window.last for window in whole[:-1])]
    assert whole[-1].last == whole[-1].end == steps
    for window in whole:
        assert 0 <= window.begin <= window.first < window.last <= window.end <= steps
        assert window.begin == max(0, window.first - 8)
        assert window.end == min(steps, window.last + 8)
    # Whoever waits for the first hears it soon, and whoever's reply is about to run dry gets a turn soon.
    assert whole[0].last < 24 + 16
    assert all(window.last - window.first < 64 + 16 for window in whole)
    assert len(whole) == 1 or all(window.last - window.first >= 16 for window in whole)


@given(st.integers(1, 500))
def test_each_window_is_made_while_those_before_it_are_heard(steps: int) -> None:
    """On a slow machine, that takes 5 ms for each step it sees. Each is 12.5 ms of sound."""
    first, *others = windows(steps)
    ahead_s = 0.0125 * (first.last - first.first) - 0.06  # silence at the begin of the first is not sent
    for window in others:
        ahead_s -= 0.005 * (window.end - window.begin)
        assert ahead_s >= 0
        ahead_s += 0.0125 * (window.last - window.first)


@pytest.mark.models
def test_another_model_is_refused(folder: Path) -> None:
    model = published(folder)
    for node in model.graph.node:
        if node.op_type == "Cast" and "convs1" in node.output[0]:
            node.op_type = "Identity"
    with pytest.raises(ValueError, match="not the Kokoro model that is pinned"):
        quicken_convolutions(GraphEditor(model))
