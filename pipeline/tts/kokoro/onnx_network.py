"""Kokoro on onnxruntime, in 8 bits, on a CPU."""

from __future__ import annotations

from pathlib import Path

from pipeline.audio import FloatArray
from pipeline.onnx_session import Arrays, OnnxSession
from pipeline.stopping import Stop
from pipeline.tts.kokoro.model import FEATURES, SOURCE, SOURCE_RATE, STATISTICS, prepared_model
from pipeline.tts.kokoro.windows import Window


class OnnxNetwork:
    """Satisfies `pipeline.tts.kokoro.network.Network`."""

    def __init__(self, model_file: Path, *, threads: int) -> None:
        halves = prepared_model(model_file)
        self._plan = OnnxSession(halves.plan, threads=threads)
        self._generator = OnnxSession(halves.generator, threads=threads)

    def plan(self, inputs: Arrays, stop: Stop) -> tuple[tuple[FloatArray, FloatArray], int]:
        """See `Network`."""
        features, source = self._plan.run(inputs, stop, [FEATURES, SOURCE])
        return (features, source), features.shape[2]

    def sound(
        self,
        plan: tuple[FloatArray, FloatArray],
        window: Window,
        style: FloatArray,
        statistics: FloatArray,
        stop: Stop,
    ) -> FloatArray:
        """See `Network`."""
        features, source = plan
        seen: Arrays = {
            FEATURES: features[:, :, window.begin : window.end],
            SOURCE: source[:, :, window.begin * SOURCE_RATE : window.end * SOURCE_RATE + 1],
            "style": style,
            STATISTICS: statistics,
        }
        return self._generator.run(seen, stop)[0]
