"""onnxruntime sessions as this pipeline wants them: few threads, none that spins, and runs that can be stopped."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime

from pipeline.stopping import Stop

Arrays = dict[str, npt.NDArray[Any]]


class OnnxSession:
    """One model. `run` may be called from several threads at once."""

    def __init__(self, model: Path | bytes, *, threads: int) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        # An idle thread that spins takes a core from the other models.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        source = str(model) if isinstance(model, Path) else model
        self._session = onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
        self.outputs: tuple[str, ...] = tuple(output.name for output in self._session.get_outputs())

    def run(self, inputs: Arrays, stop: Stop, outputs: Sequence[str] | None = None) -> list[npt.NDArray[np.float32]]:
        """The outputs asked for (all of them if None), in that order.

        Raises:
            Stopped: told to stop; what ran ends between two nodes of the graph.
        """
        options = onnxruntime.RunOptions()
        with stop.interrupting(lambda: setattr(options, "terminate", True)):
            results: list[npt.NDArray[np.float32]] = self._session.run(outputs, inputs, options)
        return results
