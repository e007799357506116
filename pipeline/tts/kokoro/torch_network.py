"""Kokoro on torch, in floats, on a GPU or a CPU."""

from __future__ import annotations

from pathlib import Path

import torch

from pipeline.audio import FloatArray
from pipeline.onnx_session import Arrays
from pipeline.stopping import Stop
from pipeline.tts.kokoro.model import FEATURES, PHASES, PITCH, SOURCE, SOURCE_RATE, STATISTICS, float_model
from pipeline.tts.kokoro.torch_graph import TorchGraph
from pipeline.tts.kokoro.windows import Window

Plan = tuple[torch.Tensor, torch.Tensor]


class TorchNetwork:
    """Satisfies `pipeline.tts.kokoro.network.Network`."""

    def __init__(self, model_file: Path, *, device: str) -> None:
        parts = float_model(model_file)
        self._plan = TorchGraph(parts.plan, device)
        self._source = TorchGraph(parts.source, device)
        self._generator = TorchGraph(parts.generator, device)

    def plan(self, inputs: Arrays, stop: Stop) -> tuple[Plan, int]:
        """See `Network`. The source is made here, of the whole clause: a stretch of it would take as many kernels."""
        named = dict(zip(self._plan.outputs, self._plan.run(inputs, stop), strict=True))
        features = named[FEATURES]
        (source,) = self._source.run({name: named[name] for name in (PITCH, PHASES)}, stop)
        return (features, source), features.shape[2]

    def sound(self, plan: Plan, window: Window, style: FloatArray, statistics: FloatArray, stop: Stop) -> FloatArray:
        """See `Network`."""
        features, source = plan
        seen = {
            FEATURES: features[:, :, window.begin : window.end],
            SOURCE: source[:, :, window.begin * SOURCE_RATE : window.end * SOURCE_RATE + 1],
            "style": style,
            STATISTICS: statistics,
        }
        (samples,) = self._generator.run(seen, stop)
        made: FloatArray = samples.cpu().numpy()
        return made
