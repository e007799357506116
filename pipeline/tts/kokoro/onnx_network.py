"""Kokoro on onnxruntime, in 8 bits, on a CPU."""

from __future__ import annotations

from pathlib import Path
from typing import TypeAlias

from pipeline.audio import FloatArray
from pipeline.onnx_session import Arrays, OnnxSession
from pipeline.stopping import Stop
from pipeline.tts.kokoro.model import FEATURES, PHASES, PITCH, SOURCE, SOURCE_RATE, STATISTICS, prepared_model
from pipeline.tts.kokoro.windows import Window

Plan: TypeAlias = dict[str, FloatArray]


class OnnxNetwork:
    """Satisfies `pipeline.tts.kokoro.network.Network`."""

    def __init__(self, model_file: Path, *, threads: int) -> None:
        parts = prepared_model(model_file)
        self._plan = OnnxSession(parts.plan, threads=threads)
        self._source = OnnxSession(parts.source, threads=threads)
        self._generator = OnnxSession(parts.generator, threads=threads)

    def plan(self, inputs: Arrays, stop: Stop) -> tuple[Plan, int]:
        """See `Network`."""
        plan = dict(zip(self._plan.outputs, self._plan.run(inputs, stop), strict=True))
        return plan, plan[FEATURES].shape[2]

    def sound(self, plan: Plan, window: Window, style: FloatArray, statistics: FloatArray, stop: Stop) -> FloatArray:
        """See `Network`."""
        seen: Arrays = {
            FEATURES: plan[FEATURES][:, :, window.begin : window.end],
            SOURCE: self.source_in(plan, window, stop),
            "style": style,
            STATISTICS: statistics,
        }
        return self._generator.run(seen, stop)[0]

    def source_in(self, plan: Plan, window: Window, stop: Stop) -> FloatArray:
        """`SOURCE` of the steps that a window sees. It is made of one more on each side, where there is one: see
        `Parts`. Raises `Stopped`."""
        begin = max(0, window.begin - 1)
        (made,) = self._source.run({name: plan[name][:, :, begin : window.end + 1] for name in (PITCH, PHASES)}, stop)
        first, last = ((step - begin) * SOURCE_RATE for step in (window.begin, window.end))
        return made[:, :, first : last + 1]
