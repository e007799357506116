"""Kokoro's parts, as the engine sees them whatever runs them."""

from __future__ import annotations

from typing import Any, Protocol, TypeAlias

from pipeline.audio import FloatArray
from pipeline.onnx_session import Arrays
from pipeline.stopping import Stop
from pipeline.tts.kokoro.windows import Window

Plan: TypeAlias = Any


class Network(Protocol):
    """Called from as many threads at once as clauses are spoken at once.

    Both methods raise `Stopped` when they are told to stop.
    """

    def plan(self, inputs: Arrays, stop: Stop) -> tuple[Plan, int]:
        """What is to be said of a whole clause, and in how many steps. `inputs` are those of `model_inputs`."""
        ...

    def sound(self, plan: Plan, window: Window, style: FloatArray, statistics: FloatArray, stop: Stop) -> FloatArray:
        """The steps that a window sees: float32, shape (`STEP_SAMPLES` x steps,) or some samples more."""
        ...
