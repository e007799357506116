"""onnxruntime sessions as this pipeline wants them: few threads, none that spins, and runs that can be stopped."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
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
        # A pattern is one block for all that a run of some shape needs, and is kept for each shape: no two sentences
        # have the same, and blocks of all sizes leave the arena in pieces.
        options.enable_mem_pattern = False
        _share_one_arena()
        options.add_session_config_entry("session.use_env_allocators", "1")
        source = str(model) if isinstance(model, Path) else model
        self._session = onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
        self.outputs: tuple[str, ...] = tuple(output.name for output in self._session.get_outputs())

    def run(self, inputs: Arrays, stop: Stop, outputs: Sequence[str] | None = None) -> list[npt.NDArray[np.float32]]:
        """The outputs asked for (all of them if None), in that order.

        Raises:
            Stopped: told to stop; what ran ends between two nodes of the graph.
        """
        with _stopped_by(stop) as options:
            results: list[npt.NDArray[np.float32]] = self._session.run(outputs, inputs, options)
        return results

    def run_in_place(
        self, inputs: Arrays, kept: Mapping[tuple[str, str], npt.NDArray[Any]], output: str, stop: Stop
    ) -> npt.NDArray[np.float32]:
        """One output, while memory that is an input and an output, by their names, is changed where it is.

        Raises: as `run`.
        """
        binding = self._session.io_binding()
        for name, value in inputs.items():
            binding.bind_cpu_input(name, value)
        for (before, after), value in kept.items():
            where = ("cpu", 0, value.dtype, value.shape, value.ctypes.data)
            binding.bind_input(before, *where)
            binding.bind_output(after, *where)
        binding.bind_output(output)
        with _stopped_by(stop) as options:
            self._session.run_with_iobinding(binding, options)
        result: npt.NDArray[np.float32] = binding.get_outputs()[-1].numpy()
        return result


@cache
def _share_one_arena() -> None:
    """An arena grows to the most that was ever needed at once, and keeps it. In one for all sessions of the process,
    what the parts of a model need in turn is the same memory: Kokoro takes 70 MB less so, and after a few long clauses
    no more.
    """
    memory = onnxruntime.OrtMemoryInfo(
        "Cpu", onnxruntime.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, onnxruntime.OrtMemType.DEFAULT
    )
    # As an arena of a session is by default: without a limit, extended by powers of two.
    by_default = {"max_mem": 0, "arena_extend_strategy": 0}
    by_default |= {"initial_chunk_size_bytes": -1, "max_dead_bytes_per_chunk": -1}
    onnxruntime.create_and_register_allocator(memory, onnxruntime.OrtArenaCfg(by_default))


@contextmanager
def _stopped_by(stop: Stop) -> Iterator[onnxruntime.RunOptions]:
    options = onnxruntime.RunOptions()
    with stop.interrupting(lambda: setattr(options, "terminate", True)):
        yield options
