"""An ONNX graph that is being edited: who makes a value, who uses it, and other nodes put in a node's place."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper


class GraphEditor:
    """Collects the edits of one model; `finish` carries them out and drops what nothing uses any more."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self._model = model
        self._constants = {tensor.name: tensor for tensor in model.graph.initializer}
        self._makers = {name: node for node in model.graph.node for name in node.output}
        self._users: defaultdict[str, list[onnx.NodeProto]] = defaultdict(list)
        for node in model.graph.node:
            for name in node.input:
                self._users[name].append(node)
        self._edited: dict[str, list[onnx.NodeProto]] = {}
        self._numbers = itertools.count()

    def nodes(self, kind: str) -> list[onnx.NodeProto]:
        return [node for node in self._model.graph.node if node.op_type == kind]

    def maker(self, name: str) -> onnx.NodeProto | None:
        """The node that computes a value; None for a constant and for an input of the model."""
        return self._makers.get(name)

    def user(self, name: str, kind: str) -> onnx.NodeProto | None:
        """The first node of a kind that uses a value; None where there is none."""
        return next((node for node in self._users[name] if node.op_type == kind), None)

    def is_constant(self, name: str) -> bool:
        return name in self._constants

    def value(self, name: str) -> npt.NDArray[Any]:
        """A constant's value."""
        return numpy_helper.to_array(self._constants[name])

    def constant(self, value: npt.ArrayLike, kind: npt.DTypeLike = np.float32) -> str:
        """Add a constant; returns its name."""
        name = self._new_name()
        self._constants[name] = numpy_helper.from_array(np.asarray(value, kind), name)
        return name

    def op(self, kind: str, *inputs: str, result: str = "", **attributes: Any) -> onnx.NodeProto:
        """A node of one output, not yet in the graph."""
        return helper.make_node(kind, inputs, [result or self._new_name()], **attributes)

    def split(self, value: str, sizes: str, results: list[str], *, axis: int) -> onnx.NodeProto:
        """A node that parts a value into `results`, not yet in the graph."""
        return helper.make_node("Split", [value, sizes], results, axis=axis)

    def add_input(self, name: str, shape: list[int | None]) -> None:
        """Another input of the model, float32."""
        self._model.graph.input.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))

    def replace(self, node: onnx.NodeProto, nodes: list[onnx.NodeProto]) -> None:
        """Have `nodes`, one of which makes what `node` made if that is still used, in the place of `node`."""
        self._edited[node.output[0]] = nodes

    def finish(self) -> onnx.ModelProto:
        graph = self._model.graph
        edited = [new for node in graph.node for new in self._edited.get(node.output[0], [node])]
        kept, used = _making({output.name for output in graph.output}, edited)
        del graph.node[:], graph.initializer[:]
        graph.node.extend(kept)
        graph.initializer.extend(tensor for name, tensor in self._constants.items() if name in used)
        return self._model

    def _new_name(self) -> str:
        return f"edited:{next(self._numbers)}"


def part(model: onnx.ModelProto, inputs: dict[str, list[int | None]], outputs: dict[str, list[int | None]]) -> bytes:
    """What of a model computes `outputs` from its own inputs and from values within it, all float32; serialised.

    Shapes are given by name of the value, None for what is not known beforehand.
    """
    nodes, used = _making(set(outputs), model.graph.node, given=frozenset(inputs))
    told = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in inputs.items()]
    graph = helper.make_graph(
        nodes,
        "part",
        [value for value in model.graph.input if value.name in used] + told,
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in outputs.items()],
        [tensor for tensor in model.graph.initializer if tensor.name in used],
    )
    parted = helper.make_model(graph, opset_imports=model.opset_import, ir_version=model.ir_version)
    serialised: bytes = parted.SerializeToString()
    return serialised


def _making(
    wanted: set[str], nodes: Sequence[onnx.NodeProto], *, given: frozenset[str] = frozenset()
) -> tuple[list[onnx.NodeProto], set[str]]:
    """Of `nodes`, in order, those that it takes to make what is wanted from what is given; and all that they use."""
    kept: list[onnx.NodeProto] = []
    used: set[str] = set()
    for node in reversed(nodes):
        if any(name not in given and (name in wanted or name in used) for name in node.output):
            kept.append(node)
            used.update(node.input)
    return kept[::-1], used
