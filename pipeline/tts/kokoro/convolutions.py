"""Kokoro's integer convolutions in the form that onnxruntime is fast in.

The published int8 model holds them as `ConvInteger`, whose kernel packs its operands anew at every call. `QLinearConv`
with signed weights, packed once, does the same multiplications three to fifteen times as fast, and they are most of the
model's cost. It gives 8 bits in place of 32, so the range of each output channel must be known beforehand: `ranges.npz`
holds the largest values seen over sentences of every voice (`scripts/calibrate_kokoro.py` makes it again).

The encoder decides on pitch and duration, and its convolutions stay exactly as published: they become products of
matrices, with the same whole numbers for a result and their weights packed once, three times as fast.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper

from pipeline.audio import FloatArray
from pipeline.eight_bits import signed_steps
from pipeline.tts.kokoro.graph import GraphEditor

RANGES_FILE = Path(__file__).with_name("ranges.npz")

_HEADROOM = 1.25
"""Over the largest value seen in calibration; what is beyond is cut off."""
_DECODER = "/decoder/"
_ENCODER = "/encoder/"
_FEWEST_CHANNELS = 64
_PLAIN = {"dilations": [1], "group": 1, "strides": [1]}
"""Of a convolution that is one product of matrices; it looks as far to the left as to the right, besides."""
_ATTRIBUTES = ("dilations", "group", "kernel_shape", "pads", "strides")
_ZERO = 128
_STEPS = 127


@dataclass(frozen=True, slots=True)
class Convolution:
    """One of the model's integer convolutions: `ConvInteger`, `Add` of a bias if it has one, `Cast`, `Mul` by a scale.

    Attributes:
        node: the first of them.
        last: the last of them, which makes what it is known by.
        weights: float32, shape (out, in, width).
        bias: float32, shape (out,), or None.
    """

    node: onnx.NodeProto
    last: onnx.NodeProto
    weights: FloatArray
    bias: FloatArray | None

    @property
    def result(self) -> str:
        return str(self.last.output[0])


def decoder_convolutions(editor: GraphEditor) -> list[Convolution]:
    """Those that are worth it: of the decoder, and with many channels.

    Raises:
        ValueError: a graph that was not made as the pinned one.
    """
    found = integer_convolutions(editor)
    return [one for one in found if one.result.startswith(_DECODER) and len(one.weights) >= _FEWEST_CHANNELS]


def integer_convolutions(editor: GraphEditor) -> list[Convolution]:
    """All of them; raises `ValueError` as `decoder_convolutions` does."""
    return [_read(editor, node) for node in editor.nodes("ConvInteger")]


def quicken_convolutions(editor: GraphEditor) -> None:
    """Replace them; raises `ValueError` as `decoder_convolutions` does."""
    zero, unit = editor.constant(_ZERO, np.uint8), editor.constant(1.0)
    with np.load(RANGES_FILE) as ranges:
        for convolution in decoder_convolutions(editor):
            largest = ranges[convolution.result].astype(np.float32)
            editor.replace(convolution.last, _replacement(editor, convolution, largest, zero, unit))


def quicken_encoder(editor: GraphEditor) -> None:
    """Replace the convolutions of the encoder. Raises `ValueError`: a graph that was not made as the pinned one."""
    for node in editor.nodes("ConvInteger"):
        if node.name.startswith(_ENCODER):
            attributes = {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
            (width,) = attributes["kernel_shape"]
            plain = {**_PLAIN, "pads": [width // 2] * 2}
            if not width % 2 or any(attributes.get(name) != wanted for name, wanted in plain.items()):
                raise ValueError(f"{node.name} is no plain convolution: this is not the Kokoro model that is pinned")
            editor.replace(node, _product(editor, node))


def _read(editor: GraphEditor, node: onnx.NodeProto) -> Convolution:
    biased = editor.user(node.output[0], "Add")
    cast = editor.user((biased or node).output[0], "Cast")
    last = editor.user(cast.output[0], "Mul") if cast else None
    # The scale is that of the input, computed, times that of the weights, a constant.
    scales = editor.maker(next(name for name in last.input if name not in cast.output)) if last and cast else None
    if last is None or scales is None:
        raise ValueError(f"{node.name} is not followed by Cast and Mul: this is not the Kokoro model that is pinned")
    step = editor.value(next(name for name in scales.input if editor.is_constant(name)))
    weights = (editor.value(node.input[1]).astype(np.float32) - editor.value(node.input[3])) * step
    bias = editor.value(_constant_behind(editor, biased, node.output[0])) if biased else None
    return Convolution(node, last, weights.astype(np.float32), bias)


def _constant_behind(editor: GraphEditor, biased: onnx.NodeProto, product: str) -> str:
    """The name of the bias, which the published model rounds to the scale of the product before it adds it."""
    name: str = next(name for name in biased.input if name != product)
    while not editor.is_constant(name):
        maker = editor.maker(name)
        if maker is None:
            raise ValueError(f"{biased.name} adds no constant: this is not the Kokoro model that is pinned")
        name = maker.input[0]
    return name


def _replacement(
    editor: GraphEditor, convolution: Convolution, largest: FloatArray, zero: str, unit: str
) -> list[onnx.NodeProto]:
    """Nodes for one convolution, the channels of whose output, shape (out,), reach `largest`."""
    quantised = convolution.node.input[0]
    quantiser = editor.maker(quantised)
    if quantiser is None:
        raise ValueError(f"{quantised} is not computed: this is not the Kokoro model that is pinned")
    _, input_step, input_zero = quantiser.output
    weights, step = signed_steps(convolution.weights)
    # The output is counted in steps of its own channel, for which the step of the weights is divided by it.
    output_step = np.maximum(largest * _HEADROOM / _STEPS, np.float32(1e-6))
    attributes = {
        attribute.name: helper.get_attribute_value(attribute)
        for attribute in convolution.node.attribute
        if attribute.name in _ATTRIBUTES
    }
    convolved = editor.op(
        "QLinearConv",
        *(quantised, input_step, input_zero),
        *(editor.constant(weights, np.int8), editor.constant(step / output_step), _zeros(editor, weights, np.int8, 0)),
        *(unit, zero),
        **attributes,
    )
    restored = editor.op(
        "DequantizeLinear",
        convolved.output[0],
        editor.constant(output_step),
        _zeros(editor, weights, np.uint8, _ZERO),
        result=convolution.result if convolution.bias is None else "",
        axis=1,
    )
    if convolution.bias is None:
        return [convolved, restored]
    bias = editor.constant(convolution.bias.reshape(1, -1, 1))
    return [convolved, restored, editor.op("Add", restored.output[0], bias, result=convolution.result)]


def _product(editor: GraphEditor, node: onnx.NodeProto) -> list[onnx.NodeProto]:
    """Nodes for a convolution, (1, in, n) to (1, out, n): one product of all that its kernel sees at each place,
    (1, n, width x in), and its weights."""
    quantised, weights, input_zero, zero = node.input
    signed = (editor.value(weights).astype(np.int16) - _ZERO).astype(np.int8)
    out, _, width = signed.shape
    seen = [editor.op("Transpose", quantised, perm=[0, 2, 1])]
    nodes = list(seen)
    if width > 1:
        beside = editor.constant([0, width // 2, 0, 0, width // 2, 0], np.int64)
        padded = editor.op("Pad", seen[0].output[0], beside, input_zero)
        starts = [editor.constant([at], np.int64) for at in range(width)]
        stops = [editor.constant([at], np.int64) for at in [*range(1 - width, 0), np.iinfo(np.int64).max]]
        axis = editor.constant([1], np.int64)
        seen = [editor.op("Slice", padded.output[0], *bounds, axis) for bounds in zip(starts, stops, strict=True)]
        joined = editor.op("Concat", *(one.output[0] for one in seen), axis=2)
        nodes += [padded, *seen, joined]
    multiplied = editor.op(
        "MatMulInteger",
        *(nodes[-1].output[0], editor.constant(signed.transpose(2, 1, 0).reshape(-1, out), np.int8)),
        *(input_zero, editor.constant(int(editor.value(zero)) - _ZERO, np.int8)),
    )
    return [*nodes, multiplied, editor.op("Transpose", multiplied.output[0], result=node.output[0], perm=[0, 2, 1])]


def _zeros(editor: GraphEditor, weights: npt.NDArray[np.int8], kind: npt.DTypeLike, zero: int) -> str:
    return editor.constant(np.full(len(weights), zero), kind)
