"""Kokoro's graph in 32-bit floats: for a GPU, which has no use for the 8-bit steps by which a CPU saves time."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import helper

from pipeline.audio import FloatArray
from pipeline.tts.kokoro.convolutions import integer_convolutions
from pipeline.tts.kokoro.graph import GraphEditor


def restore_floats(editor: GraphEditor) -> None:
    """Replace every multiplication in integers by one of the floats that its weights stand for.

    Raises:
        ValueError: a graph that was not made as the pinned one.
    """
    for convolution in integer_convolutions(editor):
        weights = editor.constant(convolution.weights)
        bias = [] if convolution.bias is None else [editor.constant(convolution.bias.reshape(-1))]
        attributes = {one.name: helper.get_attribute_value(one) for one in convolution.node.attribute}
        x = _before_steps(editor, convolution.node)
        result = convolution.result
        replacement = editor.op("Conv", x, weights, *bias, result=result, **attributes)
        editor.replace(convolution.last, [replacement])
    for node in editor.nodes("MatMulInteger"):
        last, step = _scaled(editor, node)
        weights = editor.constant(_stood_for(editor, node.input[1], node.input[3], step))
        product = editor.op("MatMul", _before_steps(editor, node), weights, result=str(last.output[0]))
        editor.replace(last, [product])
    for node in editor.nodes("DynamicQuantizeLSTM"):
        editor.replace(node, [_lstm(editor, node)])


def _before_steps(editor: GraphEditor, node: onnx.NodeProto) -> str:
    """The floats of which the first input of `node` is made."""
    quantiser = editor.maker(node.input[0])
    if quantiser is None or quantiser.op_type != "DynamicQuantizeLinear":
        raise ValueError(f"{node.name} takes no quantised input: this is not the Kokoro model that is pinned")
    return str(quantiser.input[0])


def _scaled(editor: GraphEditor, node: onnx.NodeProto) -> tuple[onnx.NodeProto, str]:
    """The node by which the product becomes floats, and the name of the step of the weights."""
    cast = editor.user(node.output[0], "Cast")
    last = editor.user(cast.output[0], "Mul") if cast else None
    scales = editor.maker(next(name for name in last.input if name not in cast.output)) if last and cast else None
    if last is None or scales is None:
        raise ValueError(f"{node.name} is not followed by Cast and Mul: this is not the Kokoro model that is pinned")
    return last, next(name for name in scales.input if editor.is_constant(name))


def _stood_for(editor: GraphEditor, steps: str, zero: str, step: str) -> FloatArray:
    """What quantised weights mean. There is a step for all, for each column, or for each direction."""
    values = editor.value(steps).astype(np.float32)
    shape = (-1, 1, 1) if values.ndim == 3 else (-1,)
    offset, scale = (editor.value(name).astype(np.float32).reshape(shape) for name in (zero, step))
    restored: FloatArray = (values - offset) * scale
    return restored


def _lstm(editor: GraphEditor, node: onnx.NodeProto) -> onnx.NodeProto:
    """Microsoft's operator has its weights (directions, in, gates), ONNX's has them (directions, gates, in)."""
    x, inputs, states, *rest = node.input
    *usual, _peephole, input_step, input_zero, state_step, state_zero = rest
    weights = [
        editor.constant(np.ascontiguousarray(_stood_for(editor, name, zero, step).transpose(0, 2, 1)))
        for name, zero, step in ((inputs, input_zero, input_step), (states, state_zero, state_step))
    ]
    attributes = {one.name: helper.get_attribute_value(one) for one in node.attribute}
    return helper.make_node("LSTM", [x, *weights, *usual], list(node.output), **attributes)
