"""Graphs for onnxruntime, built node by node."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper

from pipeline.audio import FloatArray
from pipeline.eight_bits import signed_steps

Inputs: TypeAlias = Mapping[str, tuple[int, Sequence[Any]]]
"""Of each: a type of `onnx.TensorProto`, and a shape, in which a size that may vary has a name."""

_BLOCK = 128
MICROSOFT = "com.microsoft"
_OPSETS = (helper.make_opsetid("", 20), helper.make_opsetid(MICROSOFT, 1))
_IR_VERSION = 9


class GraphBuilder:
    """Nodes and constants of one graph; every method that adds a node returns the name of its output."""

    def __init__(self) -> None:
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []
        self._numbers = itertools.count()

    def name(self) -> str:
        """One that nothing has."""
        return f"v{next(self._numbers)}"

    def constant(self, value: npt.ArrayLike, kind: npt.DTypeLike = np.float32) -> str:
        name = self.name()
        self._constants.append(numpy_helper.from_array(np.asarray(value, kind, order="C"), name))
        return name

    def integers(self, value: Sequence[int]) -> str:
        return self.constant(value, np.int64)

    def op(self, kind: str, *inputs: str, result: str = "", **attributes: Any) -> str:
        output = result or self.name()
        self.node(kind, inputs, [output], **attributes)
        return output

    def microsoft(self, kind: str, *inputs: str, **attributes: Any) -> str:
        return self.op(kind, *inputs, domain=MICROSOFT, **attributes)

    def node(self, kind: str, inputs: Sequence[str], outputs: Sequence[str], **attributes: Any) -> None:
        """One with several outputs; what has no name is not there, or not wanted."""
        self._nodes.append(helper.make_node(kind, inputs, outputs, **attributes))

    def split(self, x: str, widths: list[int]) -> list[str]:
        outputs = [self.name() for _ in widths]
        self.node("Split", [x, self.integers(widths)], outputs, axis=2)
        return outputs

    def rowwise(self, x: str, weight: FloatArray) -> str:
        """`x`, shape (1, rows, in), times the transpose of `weight`, shape (out, in): in 8 bits, with a step for each
        row and each output."""
        largest = self.op("ReduceMax", self.op("Abs", x), self.integers([2]), keepdims=1)
        largest = self.op("Add", largest, self.constant(1e-7))
        return self.op("Mul", self.within(1.0, self.op("Div", x, largest), weight), largest)

    def within(self, bound: float, x: str, weight: FloatArray) -> str:
        """The same with one step for all rows, where next to nothing is larger than `bound`: that is cut off."""
        step, zero = self.constant(bound / 127), self.constant(128, np.uint8)
        steps, weight_step = signed_steps(weight)
        return self.microsoft(
            "MatMulIntegerToFloat",
            *(self.op("QuantizeLinear", x, step, zero), self.constant(steps.T, np.int8)),
            *(step, self.constant(weight_step), zero),
        )

    def blockwise(self, x: str, weight: FloatArray) -> str:
        """As `rowwise`, for few rows at once, with a step for each 128 weights."""
        rows, columns = weight.shape
        blocks = weight.reshape(rows, columns // _BLOCK, _BLOCK)
        step = np.maximum(np.abs(blocks).max(axis=2) / 127, np.float32(1e-12))
        steps = np.rint(blocks / step[..., None]) + 128
        return self.microsoft(
            "MatMulNBits",
            *(x, self.constant(steps, np.uint8), self.constant(step)),
            K=columns,
            N=rows,
            bits=8,
            block_size=_BLOCK,
            accuracy_level=4,
        )

    def model(self, inputs: Inputs, outputs: Sequence[str]) -> bytes:
        """The whole, serialised."""
        graph = helper.make_graph(
            self._nodes,
            "graph",
            [helper.make_tensor_value_info(name, kind, shape) for name, (kind, shape) in inputs.items()],
            [helper.make_empty_tensor_value_info(name) for name in outputs],
            self._constants,
        )
        serialised: bytes = helper.make_model(graph, opset_imports=_OPSETS, ir_version=_IR_VERSION).SerializeToString()
        return serialised
