"""An edit of Kokoro's graph, so that it does not synthesise silence.

The model plans up to 0.5 s of silence before a clause and as much after it, and its decoder, nearly all of its cost,
takes as long over those as over speech. The plan must stay as it is (a shorter one slurs the first sound), so what is
cut is between the two: of the frames that the plan hands to the decoder, those that would be silent.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

FADING_TAIL = "fading_tail"
"""The added input, int64, shape (1,): how many tokens at the end die away (the last sound, the marks and the edge)."""

# In the model's frames of 25 ms.
_KEPT_BEFORE = 3
# Of what the plan calls the last sound, no more than 8 were audible in 132 clauses of five languages, and 4 as a rule.
_KEPT_AFTER = 9

_LAST = -1
_END = 2**31

_DURATIONS = "/encoder/Clip_output_0"  # float32 (1, tokens): frames of each token
_PLANNED = {  # what the decoder reads: its frames' axis, and its steps a frame
    "/encoder/MatMul_1_output_0": (2, 1),  # the sounds
    "/encoder/Reshape_output_0": (1, 2),  # pitch
    "/encoder/Reshape_1_output_0": (1, 2),  # energy
}


def leave_out_silence(graph: onnx.GraphProto) -> None:
    """Add the input `fading_tail`, and what cuts the decoder's frames by it."""
    for node in graph.node:
        node.input[:] = [f"{name}:kept" if name in _PLANNED else name for name in node.input]
    for index in reversed(range(len(graph.node))):
        (name, *_) = graph.node[index].output
        if name in _PLANNED:
            axis, steps = _PLANNED[name]
            bounds = [f"kept:first:{steps}", f"kept:stop:{steps}", f"kept:{axis}"]
            graph.node.insert(index + 1, helper.make_node("Slice", [name, *bounds], [f"{name}:kept"]))
        if name == _DURATIONS:
            for node in reversed(_bounds()):
                graph.node.insert(index + 1, node)
    for number in (_LAST, 0, 1, 2, _KEPT_BEFORE, _KEPT_AFTER, _END):
        graph.initializer.append(numpy_helper.from_array(np.array([number], np.int64), f"kept:{number}"))
    graph.input.append(helper.make_tensor_value_info(FADING_TAIL, TensorProto.INT64, [1]))


def _bounds() -> list[onnx.NodeProto]:
    """Nodes that compute, from the durations, the first frame that is kept and the one past the last."""

    def node(kind: str, inputs: str, output: str, **attributes: Any) -> onnx.NodeProto:
        return helper.make_node(kind, inputs.split(), [output], **attributes)

    return [
        node("Cast", _DURATIONS, "kept:durations", to=TensorProto.INT64),
        node("Reshape", f"kept:durations kept:{_LAST}", "kept:each"),
        node("ReduceSum", "kept:each kept:0", "kept:total", keepdims=1),
        node("Gather", "kept:each kept:0", "kept:before"),
        node("Sub", f"kept:before kept:{_KEPT_BEFORE}", "kept:spare_before"),
        node("Max", "kept:spare_before kept:0", "kept:first:1"),
        node("Neg", FADING_TAIL, "kept:tail"),
        node("Slice", f"kept:each kept:tail kept:{_END}", "kept:tail_durations"),
        node("ReduceSum", "kept:tail_durations kept:0", "kept:after", keepdims=1),
        node("Sub", f"kept:after kept:{_KEPT_AFTER}", "kept:spare_after"),
        node("Max", "kept:spare_after kept:0", "kept:cut_after"),
        node("Sub", "kept:total kept:cut_after", "kept:stop:1"),
        node("Mul", "kept:first:1 kept:2", "kept:first:2"),
        node("Mul", "kept:stop:1 kept:2", "kept:stop:2"),
    ]
