"""The activation between the convolutions of Kokoro's generator, in operations that cost less.

It is "snake", y + sin²(ay)/a (Ziyin et al. 2020, arXiv:2006.08195). onnxruntime's additions and multiplications take a
tenth of a millisecond a million values, its sine takes two.
"""

from __future__ import annotations

import numpy as np
import onnx

from pipeline.tts.kokoro.graph import GraphEditor

_GENERATOR = "/decoder/decoder/generator/"

# sin²(πr), |r| <= 0.5, as a polynomial in r² without constant term, highest power first: a least-squares fit,
# reweighted towards the largest errors. They stay below 0.0009; what follows is quantised in steps of 0.02 or more.
_SINE_SQUARED = (30.2919810, -30.7669783, 9.8017731)


def quicken_activations(editor: GraphEditor) -> None:
    """Raises `ValueError`: a graph that was not made as the pinned one."""
    for node in editor.nodes("Pow"):
        sine = editor.maker(node.input[0])
        if node.name.startswith(_GENERATOR) and sine is not None and sine.op_type == "Sin":
            _square_sine_by_polynomial(editor, node, sine)


def _square_sine_by_polynomial(editor: GraphEditor, node: onnx.NodeProto, sine: onnx.NodeProto) -> None:
    """sin²(ay)/a in nine operations, the factor for each channel and the polynomial's highest coefficient in one.

    sin²(t) has the period π: of t/π only the distance r to the next whole number counts. With s = r² what is left of
    the polynomial is s((s + b)² + c).
    """
    angle, last = editor.maker(sine.input[0]), editor.user(node.output[0], "Mul")
    if angle is None or last is None or not all(any(map(editor.is_constant, one.input)) for one in (angle, last)):
        raise ValueError(f"{node.name} is no part of an activation: this is not the Kokoro model that is pinned")
    (y, factor), (_, reciprocal) = (_constant_last(editor, product) for product in (angle, last))
    highest, middle, lowest = _SINE_SQUARED
    offset = middle / highest / 2
    turns = editor.op("Mul", y, editor.constant(editor.value(factor) / np.pi))
    whole = editor.op("Round", turns.output[0])
    distance = editor.op("Sub", turns.output[0], whole.output[0])
    square = editor.op("Mul", distance.output[0], distance.output[0])
    moved = editor.op("Add", square.output[0], editor.constant(offset))
    again = editor.op("Mul", moved.output[0], moved.output[0])
    raised = editor.op("Add", again.output[0], editor.constant(lowest / highest - offset**2))
    shape = editor.op("Mul", raised.output[0], square.output[0])
    scale = editor.constant(editor.value(reciprocal) * highest)
    result = editor.op("Mul", shape.output[0], scale, result=last.output[0])
    editor.replace(last, [turns, whole, distance, square, moved, again, raised, shape, result])


def _constant_last(editor: GraphEditor, product: onnx.NodeProto) -> list[str]:
    return sorted(product.input, key=editor.is_constant)
