"""Kokoro's generator with the statistics of its normalisations given, so that it can speak a clause piece by piece.

Before each convolution of the generator stands an adaptive instance normalisation, y = g(x - m)/s + b, whose mean m and
deviation s are those of the whole clause: nothing of it could be heard before all of it was made. They depend on the
style more than on what is said, though: where short clauses have that of longer ones (`model_inputs`), their averages
over sentences of a voice (`statistics.npz`, made by `scripts/calibrate_kokoro.py`) will do. Spectra of 98 clauses were
4.5 dB from those of the published model, where other 8-bit steps alone make 2.5, and a recogniser understands both as
well (`python -m benchmarks clauses`). What is left looks no further than 0.1 s.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx

from pipeline.audio import FloatArray
from pipeline.tts.kokoro.graph import GraphEditor

STATISTICS = "statistics"
"""The added input, float32, shape (numbers,): the means of each normalisation's channels, then the variances."""

STATISTICS_FILE = Path(__file__).with_name("statistics.npz")
"""An array for each voice, and how many numbers of it each of `statistics_names` has."""
CHANNELS = "channels"

_GENERATOR = "/decoder/decoder/generator/"


@dataclass(frozen=True, slots=True)
class Normalisation:
    """An instance normalisation: `x` is what is normalised, and `last` makes the result."""

    last: onnx.NodeProto
    x: str
    mean: onnx.NodeProto
    variance: onnx.NodeProto
    epsilon: float
    gain: str
    shift: str


def generator_normalisations(editor: GraphEditor) -> list[Normalisation]:
    """In the order in which they are computed.

    Raises:
        ValueError: a graph that was not made as the pinned one.
    """
    return [one for one in _normalisations(editor) if one.last.name.startswith(_GENERATOR)]


def statistics_names(normalisations: list[Normalisation]) -> list[str]:
    """The values that `STATISTICS` consists of, in its order. What is normalised twice has them once."""
    means = [one.mean.output[0] for one in normalisations]
    return list(dict.fromkeys(means + [one.variance.output[0] for one in normalisations]))


def normalise_by_statistics(editor: GraphEditor) -> None:
    """Take means and variances from the input `STATISTICS`; raises `ValueError` as `generator_normalisations` does."""
    normalisations = generator_normalisations(editor)
    with np.load(STATISTICS_FILE) as statistics:
        channels = editor.constant(statistics[CHANNELS], np.int64)
    editor.add_input(STATISTICS, [None])
    parts = editor.split(STATISTICS, channels, statistics_names(normalisations), axis=0)
    for one in normalisations:
        editor.replace(one.mean, [])
        editor.replace(one.variance, [])
        _replace(editor, one, "BatchNormalization", one.mean.output[0], one.variance.output[0])
    editor.replace(normalisations[0].mean, [parts])


def normalise_in_one_go(editor: GraphEditor) -> None:
    """Have a normalisation before the generator be one operator in place of nine, equal but for rounding. The two that
    share their quotient (`norm1` of F0.0 and N.0) stay. Raises as `generator_normalisations`."""
    for one in _normalisations(editor):
        if not one.last.name.startswith(_GENERATOR):
            _replace(editor, one, "InstanceNormalization")


def read_statistics(voice: str) -> FloatArray:
    """`STATISTICS` for a voice."""
    with np.load(STATISTICS_FILE) as statistics:
        return np.asarray(statistics[voice], np.float32)


def _replace(editor: GraphEditor, one: Normalisation, kind: str, *statistics: str) -> None:
    """By an operator whose gain and shift have the shape (channels,)."""
    flat = editor.constant([-1], np.int64)
    gain, shift = (editor.op("Reshape", value, flat) for value in (one.gain, one.shift))
    inputs = (one.x, gain.output[0], shift.output[0], *statistics)
    editor.replace(one.last, [gain, shift, editor.op(kind, *inputs, result=one.last.output[0], epsilon=one.epsilon)])


def _normalisations(editor: GraphEditor) -> list[Normalisation]:
    return [_read(editor, node, *found) for node in editor.nodes("Add") if (found := _normalised(editor, node))]


def _normalised(editor: GraphEditor, node: onnx.NodeProto) -> tuple[onnx.NodeProto, onnx.NodeProto] | None:
    """Where `node` adds the shift of an instance normalisation: the product with the gain, and the quotient in it."""
    for product in _makers(editor, node, "Mul"):
        for quotient in _makers(editor, product, "Div"):
            if _makers(editor, quotient, "Sub") and _makers(editor, quotient, "Sqrt"):
                return product, quotient
    return None


def _makers(editor: GraphEditor, node: onnx.NodeProto, kind: str) -> list[onnx.NodeProto]:
    return [maker for name in node.input if (maker := editor.maker(name)) and maker.op_type == kind]


def _read(editor: GraphEditor, last: onnx.NodeProto, scaled: onnx.NodeProto, quotient: onnx.NodeProto) -> Normalisation:
    (shift,) = set(last.input) - set(scaled.output)
    (gain,) = set(scaled.input) - set(quotient.output)
    centred, deviation = (editor.maker(name) for name in quotient.input)
    stabilised = deviation and editor.maker(deviation.input[0])
    squared = centred and editor.user(centred.output[0], "Mul")
    variance = squared and editor.user(squared.output[0], "ReduceMean")
    mean = centred and editor.maker(centred.input[1])
    if centred is None or variance is None or mean is None or stabilised is None:
        raise ValueError(f"{last.name} ends no instance normalisation: this is not the Kokoro model that is pinned")
    epsilon = float(editor.value(next(name for name in stabilised.input if editor.is_constant(name))))
    return Normalisation(last, centred.input[0], mean, variance, epsilon, gain, shift)
