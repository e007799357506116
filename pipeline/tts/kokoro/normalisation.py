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
"""The added input, float32, shape (1, numbers, 1): the means of each normalisation's channels, then the variances."""

STATISTICS_FILE = Path(__file__).with_name("statistics.npz")
"""An array for each voice, and how many numbers of it each of `statistics_names` has."""
CHANNELS = "channels"

_GENERATOR = "/decoder/decoder/generator/"
_LAST = "/Add_3"


@dataclass(frozen=True, slots=True)
class Normalisation:
    """One of the generator's: `x` is what is normalised, and `last` makes the result."""

    last: onnx.NodeProto
    x: str
    mean: onnx.NodeProto
    variance: onnx.NodeProto
    deviation: str
    gain: str
    shift: str


def generator_normalisations(editor: GraphEditor) -> list[Normalisation]:
    """In the order in which they are computed.

    Raises:
        ValueError: a graph that was not made as the pinned one.
    """
    return [
        _read(editor, node)
        for node in editor.nodes("Add")
        if node.name.startswith(_GENERATOR) and "/adain" in node.name and node.name.endswith(_LAST)
    ]


def statistics_names(normalisations: list[Normalisation]) -> list[str]:
    """The values that `STATISTICS` consists of, in its order."""
    means = [one.mean.output[0] for one in normalisations]
    return means + [one.variance.output[0] for one in normalisations]


def normalise_by_statistics(editor: GraphEditor) -> None:
    """Take means and variances from the input `STATISTICS`; raises `ValueError` as `generator_normalisations` does."""
    normalisations = generator_normalisations(editor)
    with np.load(STATISTICS_FILE) as statistics:
        channels = editor.constant(statistics[CHANNELS], np.int64)
    editor.add_input(STATISTICS, [1, None, 1])
    parts = editor.split(STATISTICS, channels, statistics_names(normalisations), axis=1)
    for one in normalisations:
        editor.replace(one.mean, [])
        editor.replace(one.variance, [])
        # x(g/s) + (b - mg/s): what is in brackets is one value a channel.
        factor = editor.op("Div", one.gain, one.deviation)
        taken = editor.op("Mul", one.mean.output[0], factor.output[0])
        rest = editor.op("Sub", one.shift, taken.output[0])
        product = editor.op("Mul", one.x, factor.output[0])
        result = editor.op("Add", product.output[0], rest.output[0], result=one.last.output[0])
        editor.replace(one.last, [factor, taken, rest, product, result])
    editor.replace(normalisations[0].mean, [parts])


def read_statistics(voice: str) -> FloatArray:
    """`STATISTICS` for a voice."""
    with np.load(STATISTICS_FILE) as statistics:
        return np.asarray(statistics[voice], np.float32).reshape(1, -1, 1)


def _read(editor: GraphEditor, last: onnx.NodeProto) -> Normalisation:
    scaled = next(maker for name in last.input if (maker := editor.maker(name)) and maker.op_type == "Mul")
    (shift,) = set(last.input) - set(scaled.output)
    quotient = next(maker for name in scaled.input if (maker := editor.maker(name)) and maker.op_type == "Div")
    (gain,) = set(scaled.input) - set(quotient.output)
    centred, deviation = editor.maker(quotient.input[0]), quotient.input[1]
    squared = centred and editor.user(centred.output[0], "Mul")
    variance = squared and editor.user(squared.output[0], "ReduceMean")
    mean = centred and editor.maker(centred.input[1])
    if centred is None or variance is None or mean is None:
        raise ValueError(f"{last.name} ends no instance normalisation: this is not the Kokoro model that is pinned")
    return Normalisation(last, centred.input[0], mean, variance, deviation, gain, shift)
