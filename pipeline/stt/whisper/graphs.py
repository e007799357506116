"""Whisper's two graphs, built for onnxruntime from the weights of a CTranslate2 model.

The encoder gives the keys and values by which each layer of the decoder looks at what was heard. The decoder takes any
number of tokens at once, so that a whole draft of a transcript can be checked in one run.

Both multiply in 8 bits: the encoder with one step for each row of its input, the decoder, which mostly is given one
token, with blocks of 128 weights that have a step each. Not so its vocabulary, which is most of it: by rows a draft of
twenty tokens takes two thirds of the time, and a single one the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from onnx import TensorProto

from pipeline.audio import FloatArray
from pipeline.onnx_graph import GraphBuilder
from pipeline.stt.whisper.network import Tokens
from pipeline.stt.whisper.weights import Weights

_NEVER = -1e9


@dataclass(frozen=True, slots=True)
class Shape:
    """The sizes of a model, read off its weights."""

    layers: int
    heads: int
    width: int
    mels: int

    @classmethod
    def of(cls, weights: Weights) -> Shape:
        width, mels, _ = weights["encoder/conv1/weight"].shape
        layers = sum(name.endswith("/attention/linear_0/weight") for name in weights if name.startswith("decoder/"))
        return cls(layers, int(weights["decoder/num_heads"]), width, mels)

    @property
    def head_width(self) -> int:
        return self.width // self.heads

    def cross_names(self) -> list[str]:
        """What the decoder sees of the encoder: (1, heads, width, frames) and (1, heads, frames, width) a layer."""
        return [f"cross_{kind}:{layer}" for layer in range(self.layers) for kind in ("keys", "values")]

    def own_names(self) -> list[str]:
        """The decoder's memory of its tokens: (1, heads, width, tokens) and (1, heads, tokens, width) a layer."""
        return [f"own_{kind}:{layer}" for layer in range(self.layers) for kind in ("keys", "values")]


def encoder_graph(weights: Weights) -> bytes:
    """Input `mel`: float32, (1, mels, frames of 10 ms). Outputs: `Shape.cross_names`."""
    shape = Shape.of(weights)
    graph = _Builder(weights)
    x = graph.op("Conv", "mel", *graph.weighted("encoder/conv1"), kernel_shape=[3], pads=[1, 1])
    x = graph.microsoft("Gelu", x)
    x = graph.op("Conv", x, *graph.weighted("encoder/conv2"), kernel_shape=[3], pads=[1, 1], strides=[2])
    x = graph.op("Transpose", graph.microsoft("Gelu", x), perm=[0, 2, 1])
    frames = graph.op("Gather", graph.op("Shape", x), graph.integers([1]))
    begin = graph.integers([0])
    positions = graph.constant(graph.float("encoder/position_encodings/encodings"))
    x = graph.op("Add", x, graph.op("Slice", positions, begin, frames, begin))
    for layer in range(shape.layers):
        of = f"encoder/layer_{layer}"
        y = graph.by_rows(graph.normalised(x, f"{of}/self_attention/layer_norm"), f"{of}/self_attention/linear_0")
        parts = graph.split(y, [shape.width] * 3)
        y = graph.microsoft("MultiHeadAttention", *parts, num_heads=shape.heads)
        x = graph.op("Add", x, graph.by_rows(y, f"{of}/self_attention/linear_1"))
        y = graph.by_rows(graph.normalised(x, f"{of}/ffn/layer_norm"), f"{of}/ffn/linear_0")
        x = graph.op("Add", x, graph.by_rows(graph.microsoft("Gelu", y), f"{of}/ffn/linear_1"))
    x = graph.normalised(x, "encoder/layer_norm")
    apart = graph.integers([0, -1, shape.heads, shape.head_width])
    for layer in range(shape.layers):
        y = graph.by_rows(x, f"decoder/layer_{layer}/attention/linear_1")
        keys, values = graph.split(y, [shape.width] * 2)
        keys, values = graph.op("Reshape", keys, apart), graph.op("Reshape", values, apart)
        graph.op("Transpose", keys, perm=[0, 2, 3, 1], result=f"cross_keys:{layer}")
        graph.op("Transpose", values, perm=[0, 2, 1, 3], result=f"cross_values:{layer}")
    return graph.model({"mel": (TensorProto.FLOAT, [1, shape.mels, "frames"])}, shape.cross_names())


def decoder_graph(weights: Weights, tokens: Tokens) -> bytes:
    """Continues a text.

    Inputs: `tokens`, `positions` (1, n) int64; `opens` (1, n) int64, 1 where a text begins after the token, else 0;
    `mask` (1, 1, n, before + n) float32, added to what each token sees of the ones before it and of its own run;
    `before:` + each of `Shape.own_names`; `Shape.cross_names`.

    Outputs, the first five of what follows each of the n tokens: `best` (1, n) int64, the likeliest token;
    `log_probability` (1, n, 1) of it; `given` (1, n, 1), that of the next of `tokens`, at the end of the first;
    `ends` (1, n, 1), the probability that a sentence ends there; `named` (1, n, names), log probabilities; then
    `Shape.own_names`.
    """
    shape = Shape.of(weights)
    graph = _Builder(weights)
    vocabulary = graph.float("decoder/embeddings/weight")
    table = graph.constant(vocabulary, np.float16)
    x = graph.op("Cast", graph.op("Gather", table, "tokens"), to=TensorProto.FLOAT)
    places = graph.constant(graph.float("decoder/position_encodings/encodings"))
    x = graph.op("Add", x, graph.op("Gather", places, "positions"))
    apart = graph.integers([0, -1, shape.heads, shape.head_width])
    together = graph.integers([0, -1, shape.width])
    scale = graph.constant(shape.head_width**-0.5)

    def heads(y: str) -> str:
        return graph.op("Transpose", graph.op("Reshape", y, apart), perm=[0, 2, 1, 3])

    def attention(queries: str, keys: str, values: str, mask: str | None) -> str:
        seen = graph.op("MatMul", heads(graph.op("Mul", queries, scale)), keys)
        weight = graph.op("Softmax", graph.op("Add", seen, mask) if mask else seen, axis=-1)
        found = graph.op("Transpose", graph.op("MatMul", weight, values), perm=[0, 2, 1, 3])
        return graph.op("Reshape", found, together)

    for layer in range(shape.layers):
        of = f"decoder/layer_{layer}"
        y = graph.by_blocks(graph.normalised(x, f"{of}/self_attention/layer_norm"), f"{of}/self_attention/linear_0")
        queries, keys, values = graph.split(y, [shape.width] * 3)
        keys = graph.op("Transpose", graph.op("Reshape", keys, apart), perm=[0, 2, 3, 1])
        own_keys, own_values = f"own_keys:{layer}", f"own_values:{layer}"
        graph.op("Concat", f"before:{own_keys}", keys, axis=3, result=own_keys)
        graph.op("Concat", f"before:{own_values}", heads(values), axis=2, result=own_values)
        y = attention(queries, own_keys, own_values, "mask")
        x = graph.op("Add", x, graph.by_blocks(y, f"{of}/self_attention/linear_1"))
        y = graph.by_blocks(graph.normalised(x, f"{of}/attention/layer_norm"), f"{of}/attention/linear_0")
        y = attention(y, f"cross_keys:{layer}", f"cross_values:{layer}", None)
        x = graph.op("Add", x, graph.by_blocks(y, f"{of}/attention/linear_2"))
        y = graph.by_blocks(graph.normalised(x, f"{of}/ffn/layer_norm"), f"{of}/ffn/linear_0")
        x = graph.op("Add", x, graph.by_blocks(graph.microsoft("Gelu", y), f"{of}/ffn/linear_1"))
    logits = graph.rowwise(graph.normalised(x, "decoder/layer_norm"), vocabulary)
    add_outputs(graph, logits, tokens, len(vocabulary))
    single = (TensorProto.INT64, [1, "n"])
    inputs: dict[str, tuple[int, list[Any]]] = {
        "tokens": single,
        "positions": single,
        "opens": single,
        "mask": (TensorProto.FLOAT, [1, 1, "n", "total"]),
    }
    keys_shape = [1, shape.heads, shape.head_width, "length"]
    values_shape = [1, shape.heads, "length", shape.head_width]
    for name in [*(f"before:{own}" for own in shape.own_names()), *shape.cross_names()]:
        inputs[name] = (TensorProto.FLOAT, keys_shape if "keys" in name else values_shape)
    return graph.model(inputs, ["best", "log_probability", "given", "ends", "named", *shape.own_names()])


def add_outputs(graph: GraphBuilder, logits: str, tokens: Tokens, vocabulary: int) -> None:
    """The first five outputs of `decoder_graph`, of its inputs `tokens` and `opens`, and of logits.

    Those have the shape (1, n, vocabulary).
    """
    last = graph.integers([2])
    largest = graph.op("ReduceMax", logits, last, keepdims=1)
    total = graph.op("ReduceSum", graph.op("Exp", graph.op("Sub", logits, largest)), last, keepdims=1)
    norm = graph.op("Add", largest, graph.op("Log", total))

    def probabilities(of: tuple[int, ...], **names: str) -> str:
        return graph.op("Sub", graph.op("Gather", logits, graph.integers(of), axis=2), norm, **names)

    probabilities(tokens.named, result="named")
    graph.op("ReduceSum", graph.op("Exp", probabilities(tokens.ends)), last, keepdims=1, result="ends")
    never = np.zeros((2, vocabulary), np.float32)
    never[:, list(tokens.never)] = never[1, list(tokens.never_first)] = _NEVER
    text = graph.op("Add", logits, graph.op("Gather", graph.constant(never), "opens"))
    graph.op("ArgMax", text, axis=2, keepdims=0, result="best")
    likeliest = graph.op("GatherElements", logits, graph.op("Unsqueeze", "best", last), axis=2)
    graph.op("Sub", likeliest, norm, result="log_probability")
    begin, second, end, along = (graph.integers([at]) for at in (0, 1, np.iinfo(np.int64).max, 1))
    later, first = graph.op("Slice", "tokens", second, end, along), graph.op("Slice", "tokens", begin, second, along)
    following = graph.op("Unsqueeze", graph.op("Concat", later, first, axis=1), last)
    graph.op("Sub", graph.op("GatherElements", logits, following, axis=2), norm, result="given")


class _Builder(GraphBuilder):
    """Of a graph that is made of such weights."""

    def __init__(self, weights: Weights) -> None:
        super().__init__()
        self._weights = weights

    def float(self, name: str) -> FloatArray:
        return self._weights[name].astype(np.float32)

    def weighted(self, name: str) -> tuple[str, str]:
        return self.constant(self.float(f"{name}/weight")), self.constant(self.float(f"{name}/bias"))

    def normalised(self, x: str, name: str) -> str:
        gain, shift = self.constant(self.float(f"{name}/gamma")), self.constant(self.float(f"{name}/beta"))
        return self.op("LayerNormalization", x, gain, shift, axis=-1, epsilon=1e-5)

    def by_rows(self, x: str, name: str) -> str:
        """A linear layer for many rows at once: (1, rows, in) to (1, rows, out)."""
        return self.op("Add", self.rowwise(x, self.float(f"{name}/weight")), self.constant(self.float(f"{name}/bias")))

    def by_blocks(self, x: str, name: str) -> str:
        """A linear layer for few rows at once."""
        return self.op(
            "Add", self.blockwise(x, self.float(f"{name}/weight")), self.constant(self.float(f"{name}/bias"))
        )
