"""What Kokoro's decoder does between its convolutions, in operations that cost less. The values stay the same.

Before each convolution of its generator stand an adaptive instance normalisation, y = g(x - m)/s + b, and the
activation "snake", y + sin²(ay)/a (Ziyin et al. 2020, arXiv:2006.08195). onnxruntime's additions and multiplications
take a tenth of a millisecond a million values, its sine takes two.
"""

from __future__ import annotations

import numpy as np
import onnx

from pipeline.tts.kokoro.graph import GraphEditor

_GENERATOR = "/decoder/decoder/generator/"
_NORMALISED = "/Add_3"

# sin²(πr), |r| <= 0.5, as a polynomial in r² without constant term, highest power first: a least-squares fit,
# reweighted towards the largest errors. They stay below 0.0009; what follows is quantised in steps of 0.02 or more.
_SINE_SQUARED = (30.2919810, -30.7669783, 9.8017731)


def quicken_activations(editor: GraphEditor) -> None:
    for node in editor.nodes("Add"):
        if node.name.startswith(_GENERATOR) and "/adain" in node.name and node.name.endswith(_NORMALISED):
            _normalise_in_fewer_passes(editor, node)
    for node in editor.nodes("Pow"):
        sine = editor.maker(node.input[0])
        if node.name.startswith(_GENERATOR) and sine is not None and sine.op_type == "Sin":
            _square_sine_by_polynomial(editor, node, sine)


def _normalise_in_fewer_passes(editor: GraphEditor, node: onnx.NodeProto) -> None:
    """x(g/s) + (b - mg/s), with the variance as E[x²] - m²: the sums in brackets are one value a channel."""
    scaled = next(maker for name in node.input if (maker := editor.maker(name)) and maker.op_type == "Mul")
    (shift,) = set(node.input) - set(scaled.output)
    quotient = next(maker for name in scaled.input if (maker := editor.maker(name)) and maker.op_type == "Div")
    (gain,) = set(scaled.input) - set(quotient.output)
    centred, deviation = editor.maker(quotient.input[0]), quotient.input[1]
    squared = centred and editor.user(centred.output[0], "Mul")
    variance = squared and editor.user(squared.output[0], "ReduceMean")
    if centred is None or squared is None or variance is None:
        raise ValueError(f"{node.name} ends no instance normalisation: this is not the Kokoro model that is pinned")
    x, mean = centred.input
    square = editor.op("Mul", x, x)
    of_square = editor.op("ReduceMean", square.output[0], variance.input[1], keepdims=1)
    of_mean = editor.op("Mul", mean, mean)
    difference = editor.op("Sub", of_square.output[0], of_mean.output[0], result=variance.output[0])
    editor.replace(variance, [square, of_square, of_mean, difference])
    factor = editor.op("Div", gain, deviation)
    taken = editor.op("Mul", mean, factor.output[0])
    rest = editor.op("Sub", shift, taken.output[0])
    product = editor.op("Mul", x, factor.output[0])
    editor.replace(
        node, [factor, taken, rest, product, editor.op("Add", product.output[0], rest.output[0], result=node.output[0])]
    )


def _square_sine_by_polynomial(editor: GraphEditor, node: onnx.NodeProto, sine: onnx.NodeProto) -> None:
    """sin²(t) has the period π: of t/π only the distance to the next whole number counts."""
    turns = editor.op("Mul", sine.input[0], editor.constant(1 / np.pi))
    whole = editor.op("Round", turns.output[0])
    distance = editor.op("Sub", turns.output[0], whole.output[0])
    square = editor.op("Mul", distance.output[0], distance.output[0])
    highest, *lower = _SINE_SQUARED
    nodes = [turns, whole, distance, square, editor.op("Mul", square.output[0], editor.constant(highest))]
    for coefficient in lower:
        nodes.append(editor.op("Add", nodes[-1].output[0], editor.constant(coefficient)))
        last = node.output[0] if coefficient == lower[-1] else ""
        nodes.append(editor.op("Mul", nodes[-1].output[0], square.output[0], result=last))
    editor.replace(node, nodes)
