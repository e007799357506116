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
    for node in editor.nodes("Pow"):
        sine = editor.maker(node.input[0])
        if node.name.startswith(_GENERATOR) and sine is not None and sine.op_type == "Sin":
            _square_sine_by_polynomial(editor, node, sine)


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
