"""The published model, made ready as it is loaded: the same sounds, without silence around them, in half the time.

It comes in two halves. The plan is made for a whole clause and costs a fifth; the generator, which makes sound of it,
costs the rest and can be run on one stretch of the plan after another.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import onnx

from pipeline.tts.kokoro.activations import quicken_activations
from pipeline.tts.kokoro.convolutions import quicken_convolutions
from pipeline.tts.kokoro.floats import restore_floats
from pipeline.tts.kokoro.fourier import transform_by_convolution
from pipeline.tts.kokoro.graph import GraphEditor, part
from pipeline.tts.kokoro.normalisation import STATISTICS, normalise_by_statistics
from pipeline.tts.kokoro.silence import FADING_TAIL, leave_out_silence

__all__ = [
    "FADING_TAIL",
    "FEATURES",
    "SOURCE",
    "SOURCE_RATE",
    "STATISTICS",
    "STEP_SAMPLES",
    "Halves",
    "float_model",
    "prepared_model",
]

FEATURES = "/decoder/decoder/decode.3/Div_4_output_0"
"""What the plan says of each step: float32, shape (1, 512, steps)."""
SOURCE = "/decoder/decoder/generator/Concat_3_output_0"
"""The spectrum of the voice's source: float32, shape (1, 22, `SOURCE_RATE` x steps + 1)."""
SOURCE_RATE = 60
STEP_SAMPLES = 300
"""Samples at 24 kHz that the generator makes of a step."""


@dataclass(frozen=True, slots=True)
class Halves:
    """Serialised models.

    Attributes:
        plan: from tokens, style, speed and `FADING_TAIL` to `FEATURES` and `SOURCE`.
        generator: from these, or a stretch of them, style and `STATISTICS` to samples: float32, shape (samples,).
    """

    plan: bytes
    generator: bytes


def prepared_model(model_file: Path) -> Halves:
    """The model of `model_file`, edited for a CPU, in halves.

    Raises:
        ValueError: it is not the Kokoro model that is pinned.
    """
    model = onnx.load(model_file)
    leave_out_silence(model.graph)
    editor = GraphEditor(model)
    quicken_convolutions(editor)
    normalise_by_statistics(editor)
    quicken_activations(editor)
    transform_by_convolution(editor)
    return _halved(editor.finish())


def float_model(model_file: Path) -> Halves:
    """The same in floats, for a GPU. Raises as `prepared_model` does."""
    model = onnx.load(model_file)
    leave_out_silence(model.graph)
    editor = GraphEditor(model)
    restore_floats(editor)
    normalise_by_statistics(editor)
    transform_by_convolution(editor)
    return _halved(editor.finish())


def _halved(edited: onnx.ModelProto) -> Halves:
    between: dict[str, list[int | None]] = {FEATURES: [1, 512, None], SOURCE: [1, 22, None]}
    samples: dict[str, list[int | None]] = {edited.graph.output[0].name: [None]}
    return Halves(plan=part(edited, {}, between), generator=part(edited, between, samples))
