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
from pipeline.tts.kokoro.convolutions import decoder_convolutions, quicken_convolutions, quicken_encoder
from pipeline.tts.kokoro.fourier import transform_by_convolution
from pipeline.tts.kokoro.graph import GraphEditor
from pipeline.tts.kokoro.model import SOURCE_RATE, prepared_model
from pipeline.tts.kokoro.normalisation import normalise_in_one_go
from pipeline.tts.kokoro.onnx_network import OnnxNetwork
from pipeline.tts.kokoro.silence import leave_out_silence
from pipeline.tts.kokoro.windows import Window, windows
from pipeline.tts.phonemes import Phonemizer
from pipeline.weights import WeightStore

GENERATOR = "/decoder/decoder/generator"
TINY = {"/decoder/decoder/F0_conv/Conv_quant", "/decoder/decoder/N_conv/Conv_quant"}
"""Convolutions of one channel, which stay."""


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


@given(st.lists(st.floats(-500, 500, width=32), min_size=1, max_size=50), st.floats(0.0625, 16, width=32))
def test_a_squared_sine_is_one_to_a_thousandth(values: list[float], factor: float) -> None:
    model = graph_of(
        [
            helper.make_node("Mul", ["a", "x"], ["ax"], name=f"{GENERATOR}/Mul"),
            helper.make_node("Sin", ["ax"], ["s"], name=f"{GENERATOR}/Sin"),
            helper.make_node("Pow", ["s", "two"], ["s2"], name=f"{GENERATOR}/Pow"),
            helper.make_node("Mul", ["1/a", "s2"], ["y"], name=f"{GENERATOR}/Mul_1"),
        ],
        [None],
        **{"a": np.array([factor], np.float32), "1/a": np.array([1 / factor], np.float32)},
        two=np.array(2.0, np.float32),
    )
    editor = GraphEditor(model)
    quicken_activations(editor)
    edited = editor.finish()
    assert "Sin" not in {node.op_type for node in edited.graph.node}
    x = np.array(values, np.float32)
    # Beyond some hundred turns the angle itself is rounded.
    told = np.abs(x * factor) < 500
    exact = np.sin((x * np.float32(factor)).astype(np.float64)) ** 2
    np.testing.assert_allclose(run(edited, x=x)[told] * factor, exact[told], atol=1e-3)


def test_a_squared_sine_that_is_no_activation_is_refused() -> None:
    nodes = [
        helper.make_node("Sin", ["x"], ["s"], name=f"{GENERATOR}/Sin"),
        helper.make_node("Pow", ["s", "two"], ["y"], name=f"{GENERATOR}/Pow"),
    ]
    with pytest.raises(ValueError, match="Pow is no part of an activation: this is not the Kokoro model"):
        quicken_activations(GraphEditor(graph_of(nodes, [None], two=np.array(2.0, np.float32))))


@given(st.integers(1, 9), st.sampled_from([1, 3, 5]), st.integers(0, 255), st.integers(0, 2**32 - 1))
def test_a_product_of_matrices_is_the_convolution(length: int, width: int, zero: int, seed: int) -> None:
    draw = np.random.default_rng(seed)
    nodes = [
        helper.make_node("DynamicQuantizeLinear", ["x"], ["q", "q_step", "q_zero"]),
        helper.make_node(
            *("ConvInteger", ["q", "weights", "q_zero", "zero"], ["whole"], "/encoder/conv"),
            kernel_shape=[width],
            pads=[width // 2] * 2,
            strides=[1],
            dilations=[1],
            group=1,
        ),
        helper.make_node("Cast", ["whole"], ["y"], to=TensorProto.FLOAT),
    ]
    model = graph_of(
        nodes,
        [1, 7, None],
        weights=draw.integers(0, 256, (4, 7, width)).astype(np.uint8),
        zero=np.array(zero, np.uint8),
    )
    x = draw.standard_normal((1, 7, length)).astype(np.float32)
    expected = run(model, x=x)
    editor = GraphEditor(model)
    quicken_encoder(editor)
    edited = editor.finish()
    assert "ConvInteger" not in {node.op_type for node in edited.graph.node}
    np.testing.assert_array_equal(run(edited, x=x), expected)


@pytest.mark.parametrize(
    "other", [{"strides": [2]}, {"dilations": [2]}, {"group": 2}, {"pads": [0, 2]}, {"kernel_shape": [2]}], ids=str
)
def test_a_convolution_of_another_kind_is_refused(other: dict[str, Any]) -> None:
    kind = {"strides": [1], "dilations": [1], "group": 1, "pads": [1, 1], "kernel_shape": [3], **other}
    node = helper.make_node("ConvInteger", ["q", "w", "q_zero", "zero"], ["y"], "/encoder/conv", **kind)
    with pytest.raises(ValueError, match=r"/encoder/conv .* not the Kokoro model that is pinned"):
        quicken_encoder(GraphEditor(graph_of([node], [1, 2, None])))


def test_a_normalisation_in_one_go_is_that_in_nine() -> None:
    draw = np.random.default_rng(0)
    steps = [
        ("ReduceMean", ["x", "axis"], "mean"),
        ("Sub", ["x", "mean"], "centred"),
        ("Mul", ["centred", "centred"], "squared"),
        ("ReduceMean", ["squared", "axis"], "variance"),
        ("Add", ["variance", "epsilon"], "stabilised"),
        ("Sqrt", ["stabilised"], "deviation"),
        ("Div", ["centred", "deviation"], "quotient"),
        ("Mul", ["gain", "quotient"], "product"),
        ("Add", ["product", "shift"], "y"),
    ]
    model = graph_of(
        [helper.make_node(kind, inputs, [result], f"/encoder/norm/{result}") for kind, inputs, result in steps],
        [1, 5, None],
        axis=np.array([2]),
        epsilon=np.array(1e-5, np.float32),
        gain=draw.standard_normal((1, 5, 1)).astype(np.float32),
        shift=draw.standard_normal((1, 5, 1)).astype(np.float32),
    )
    x = (3 + 2 * draw.standard_normal((1, 5, 40))).astype(np.float32)
    expected = run(model, x=x)
    editor = GraphEditor(model)
    normalise_in_one_go(editor)
    edited = editor.finish()
    assert "Sqrt" not in {node.op_type for node in edited.graph.node}
    np.testing.assert_allclose(run(edited, x=x), expected, atol=1e-5)


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
    parts = prepared_model(folder / MODEL_FILE)
    serialised = (parts.plan, parts.source, parts.generator)
    nodes = [node for part in serialised for node in onnx.load_from_string(part).graph.node]
    assert sum(node.op_type == "QLinearConv" for node in nodes) == 66
    assert {node.name for node in nodes if node.op_type == "ConvInteger"} == TINY
    assert sum(node.op_type == "BatchNormalization" for node in nodes) == 48
    # Of 22: two share their quotient.
    assert sum(node.op_type == "InstanceNormalization" for node in nodes) == 20
    assert not [node for node in nodes if node.op_type == "Sin" and "resblocks" in node.name]
    assert not [node for node in nodes if node.op_type == "STFT"]


@pytest.mark.models
def test_the_generator_measures_nothing_over_the_whole_clause(folder: Path) -> None:
    generator = onnx.load_from_string(prepared_model(folder / MODEL_FILE).generator)
    assert not [node for node in generator.graph.node if node.op_type == "ReduceMean"]


@pytest.mark.models
def test_the_source_of_a_stretch_is_that_of_the_whole_clause(folder: Path) -> None:
    inputs = model_inputs("hˈɛləʊ, ənd θˈæŋk juː.", read_voice(folder, "af_heart"), 1.0)
    network = OnnxNetwork(folder / MODEL_FILE, threads=1)
    plan, steps = network.plan(inputs, Stop())
    whole = network.source_in(plan, Window(0, steps, 0, steps), Stop())
    assert whole.shape == (1, 22, SOURCE_RATE * steps + 1)
    for window in windows(steps):
        made = network.source_in(plan, window, Stop())
        expected = whole[:, :, SOURCE_RATE * window.begin : SOURCE_RATE * window.end + 1]
        magnitudes, phases = np.split(made, 2, axis=1)
        expected_magnitudes, expected_phases = np.split(expected, 2, axis=1)
        np.testing.assert_allclose(magnitudes, expected_magnitudes, atol=2e-3)
        # Of next to nothing the phase is rounding, and a turn is none.
        loud = expected_magnitudes > 0.05
        turned = np.angle(np.exp(1j * (phases - expected_phases)))[loud]
        np.testing.assert_allclose(turned, 0.0, atol=0.05)


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
