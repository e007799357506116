"""The published model, made ready as it is loaded: the same sounds, without silence around them, in half the time.

It comes in three parts. The plan is made for a whole clause. The source, what the vocal cords would sound like, and the
generator, which makes sound of both and costs most, are made of one stretch of the plan after another.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import onnx

from pipeline.tts.kokoro.activations import quicken_activations
from pipeline.tts.kokoro.convolutions import quicken_convolutions, quicken_encoder
from pipeline.tts.kokoro.floats import restore_floats
from pipeline.tts.kokoro.fourier import transform_by_convolution
from pipeline.tts.kokoro.graph import GraphEditor, part
from pipeline.tts.kokoro.normalisation import STATISTICS, normalise_by_statistics, normalise_in_one_go
from pipeline.tts.kokoro.silence import FADING_TAIL, leave_out_silence

__all__ = [
    "FADING_TAIL",
    "FEATURES",
    "PHASES",
    "PITCH",
    "SOURCE",
    "SOURCE_RATE",
    "STATISTICS",
    "STEP_SAMPLES",
    "Parts",
    "float_model",
    "prepared_model",
]

FEATURES = "/decoder/decoder/decode.3/Div_4_output_0"
"""What the plan says of each step: float32, shape (1, 512, steps)."""
PITCH = "/decoder/decoder/Unsqueeze_output_0"
"""Of each step, in hertz, next to nothing where it is not voiced: float32, shape (1, 1, steps)."""
PHASES = "/decoder/decoder/generator/m_source/l_sin_gen/Mul_4_output_0"
"""Of the voice's nine harmonics at each step, in radians: float32, shape (1, 9, steps)."""
SOURCE = "/decoder/decoder/generator/Concat_3_output_0"
"""The spectrum of the voice's source: float32, shape (1, 22, `SOURCE_RATE` x steps + 1)."""
SOURCE_RATE = 60
STEP_SAMPLES = 300
"""Samples at 24 kHz that the generator makes of a step."""


@dataclass(frozen=True, slots=True)
class Parts:
    """Serialised models.

    Attributes:
        plan: from tokens, style, speed and `FADING_TAIL` to `FEATURES`, `PITCH` and `PHASES`.
        source: from the latter two, or a stretch of them, to `SOURCE`, which is wrong in the first step and the last of
            a stretch, where it would have to know what is beside them.
        generator: from `FEATURES` and `SOURCE`, or a stretch of them, style and `STATISTICS` to samples: float32, shape
            (samples,).
    """

    plan: bytes
    source: bytes
    generator: bytes


def prepared_model(model_file: Path) -> Parts:
    """The model of `model_file`, edited for a CPU.

    Raises:
        ValueError: it is not the Kokoro model that is pinned.
    """
    model = onnx.load(model_file)
    leave_out_silence(model.graph)
    editor = GraphEditor(model)
    quicken_convolutions(editor)
    quicken_encoder(editor)
    normalise_by_statistics(editor)
    normalise_in_one_go(editor)
    quicken_activations(editor)
    transform_by_convolution(editor)
    return _parted(editor.finish())


def float_model(model_file: Path) -> Parts:
    """The same in floats, for a GPU. Raises as `prepared_model` does."""
    model = onnx.load(model_file)
    leave_out_silence(model.graph)
    editor = GraphEditor(model)
    restore_floats(editor)
    normalise_by_statistics(editor)
    normalise_in_one_go(editor)
    transform_by_convolution(editor)
    return _parted(editor.finish())


def _parted(edited: onnx.ModelProto) -> Parts:
    planned: dict[str, list[int | None]] = {PITCH: [1, 1, None], PHASES: [1, 9, None]}
    features: dict[str, list[int | None]] = {FEATURES: [1, 512, None]}
    source: dict[str, list[int | None]] = {SOURCE: [1, 22, None]}
    samples: dict[str, list[int | None]] = {edited.graph.output[0].name: [None]}
    return Parts(
        plan=part(edited, {}, features | planned),
        source=part(edited, planned, source),
        generator=part(edited, features | source, samples),
    )
