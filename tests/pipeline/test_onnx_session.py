"""onnxruntime sessions: what several of one process hold."""

from __future__ import annotations

import subprocess
import sys

_MEMORY_OF_TWO_SESSIONS = """
import numpy as np, onnx, psutil
from onnx import TensorProto, helper
from pipeline.onnx_session import OnnxSession
from pipeline.stopping import Stop

def session():
    nodes = [helper.make_node("Exp", ["a"], ["b"]), helper.make_node("Neg", ["b"], ["c"])]
    nodes += [helper.make_node("ReduceMax", ["c"], ["d"], keepdims=0)]
    ends = [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in (("a", ["n"]), ("d", []))]
    model = helper.make_model(helper.make_graph(nodes, "g", ends[:1], ends[1:]), ir_version=8)
    model.opset_import[0].version = 17
    return OnnxSession(model.SerializeToString(), threads=1)

MB = 1_000_000
sound = np.zeros(16 * MB, dtype=np.float32)
held = lambda: psutil.Process().memory_info().rss / MB
first, second = session(), session()
before = held()
first.run({"a": sound}, Stop())
one = held()
second.run({"a": sound[:-4096]}, Stop())
for length in range(1, 30):
    second.run({"a": sound[: length * 531_441]}, Stop())
print(one - before, held() - one)
"""


def test_sessions_hold_the_memory_of_one_in_turn_whatever_the_shapes() -> None:
    finished = subprocess.run(  # what other tests hold would be counted here
        [sys.executable, "-c", _MEMORY_OF_TWO_SESSIONS], check=True, capture_output=True, text=True
    )
    of_one_mb, of_others_mb = map(float, finished.stdout.split())
    assert of_one_mb > 100
    assert of_others_mb < 30
