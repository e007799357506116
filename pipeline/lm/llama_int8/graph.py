"""A Llama as a graph for onnxruntime that multiplies in 8 bits.

One step has to do for a whole row of what is multiplied, or for all rows, and some states of a Llama are a thousand
times as large as their neighbours, which would be rounded to nothing. So what is multiplied is first mixed by an
orthogonal matrix, in which every state has its part in every place, and the weights the other way round, so that the
products are the same.
All of it is done to the weights, once, but for the one state that comes out of a product of two: that is mixed in the
graph, in blocks.
Source: Ashkboos et al., QuaRot: Outlier-Free 4-Bit Inference in Rotated LLMs, 2024.
"""

from __future__ import annotations

import math

import numpy as np
from onnx import TensorProto
from scipy.fft import dct
from scipy.linalg import hadamard

from pipeline.audio import FloatArray
from pipeline.eight_bits import signed_steps
from pipeline.lm.llama_int8.model_file import ModelFile, Shape
from pipeline.onnx_graph import MICROSOFT, GraphBuilder

_MOST_MIXED = 64
"""States that are mixed in the graph: of more, the mixing costs more, and what is multiplied is no rounder."""
_LARGEST = 4.5
"""A normalised state, whose mean square is 1. Mixed, it is as good as drawn from a normal distribution, by which one in
150 000 is larger; and with one step for all rows nothing is to be measured."""


class Mixing:
    """An orthogonal matrix whose entries are as even as can be, (size, size): the Kronecker product of a cosine
    transform, for the odd part of the size, and a Hadamard matrix, for the rest."""

    def __init__(self, size: int) -> None:
        self.size = size
        power = size & -size
        self._odd = dct(np.eye(size // power), norm="ortho").astype(np.float32)
        self._rest = (hadamard(power) / math.sqrt(power)).astype(np.float32)

    def matrix(self) -> FloatArray:
        return np.kron(self._odd, self._rest)

    def of_input(self, weight: FloatArray) -> FloatArray:
        """Of a layer, shape (out, in): that for an input which is mixed, in blocks of this size."""
        parts = weight.reshape(-1, len(self._odd), len(self._rest))
        mixed: FloatArray = self._odd.T @ (parts @ self._rest)
        return mixed.reshape(weight.shape)

    def of_output(self, weight: FloatArray) -> FloatArray:
        """The same, for an output which is to be mixed."""
        return self.of_input(np.ascontiguousarray(weight.T)).T


def cache_names(shape: Shape) -> list[str]:
    """Keys and values a layer: float32, (slots, key_heads, places, head_width), with as many places as are needed."""
    return [f"{kind}:{layer}" for layer in range(shape.layers) for kind in ("keys", "values")]


def network_graph(file: ModelFile, places: int) -> bytes:
    """The network, for so many places at most.

    Inputs:
        tokens: (1, slots x n) int64: n for each slot, one slot after the other.
        apart: int64, [slots, n, -1].
        last: (slots,) int32, the place of the last of the n in its slot, counted from 0.
        seen: () int32, the places up to that one, of the slot where it is the furthest.
        wanted: int64, by which of the tokens to tell what follows it.
        before: + each of `cache_names`.

    Outputs: `logits` (1, wanted, words) float32; each of `cache_names`, which has to be the same memory as its input.
    """
    shape, graph = file.shape, GraphBuilder()
    mixing, head_mixing = Mixing(shape.width), Mixing(shape.head_width)
    block_mixing = Mixing(math.gcd(shape.inner_width, _MOST_MIXED))
    together = graph.integers([1, -1, shape.width])
    blocks = graph.integers([1, -1, shape.inner_width // block_mixing.size, block_mixing.size])
    block_mixer, joined = graph.constant(block_mixing.matrix()), graph.integers([1, -1, shape.inner_width])
    ones = graph.constant(np.ones(shape.width))
    cosines, sines = (graph.constant(of) for of in _rotations(shape, places))

    def of_normal(x: str, *weights: FloatArray) -> str:
        return graph.within(_LARGEST, x, np.concatenate(weights))

    table, steps = signed_steps(mixing.of_input(file.weight("token_embd")))
    x = graph.op("Cast", graph.op("Gather", graph.constant(table, np.int8), "tokens"), to=TensorProto.FLOAT)
    x = graph.op("Mul", x, graph.op("Gather", graph.constant(steps[:, None]), "tokens"))
    y = graph.op("SimplifiedLayerNormalization", x, ones, axis=-1, epsilon=shape.epsilon)
    for layer in range(shape.layers):
        of = f"blk.{layer}"
        gain = file.weight(f"{of}.attn_norm")
        queries, keys, values = (mixing.of_input(file.weight(f"{of}.attn_{name}") * gain) for name in "qkv")
        values = head_mixing.of_output(values)
        y = graph.op("Reshape", of_normal(y, queries, keys, values), "apart")
        found, own = graph.name(), (f"keys:{layer}", f"values:{layer}")
        graph.node(
            "GroupQueryAttention",
            [y, "", "", *(f"before:{name}" for name in own), "last", "seen", cosines, sines],
            [found, *own],
            domain=MICROSOFT,
            num_heads=shape.heads,
            kv_num_heads=shape.key_heads,
            do_rotary=1,
            rotary_interleaved=1,  # as llama.cpp's converter leaves the queries and keys
        )
        weight = head_mixing.of_input(mixing.of_output(file.weight(f"{of}.attn_output")))
        y, x = _added(graph, graph.rowwise(graph.op("Reshape", found, together), weight), x, ones, shape)
        gain = file.weight(f"{of}.ffn_norm")
        y = of_normal(y, *(mixing.of_input(file.weight(f"{of}.ffn_{name}") * gain) for name in ("gate", "up")))
        gate, up = graph.split(y, [shape.inner_width] * 2)
        y = graph.op("Mul", graph.microsoft("QuickGelu", gate, alpha=1.0), up)
        y = graph.op("Reshape", graph.op("MatMul", graph.op("Reshape", y, blocks), block_mixer), joined)
        weight = block_mixing.of_input(mixing.of_output(file.weight(f"{of}.ffn_down")))
        y, x = _added(graph, graph.rowwise(y, weight), x, ones, shape)
    y = graph.op("Gather", y, "wanted", axis=1)
    graph.op("Identity", of_normal(y, mixing.of_input(file.output() * file.weight("output_norm"))), result="logits")
    cache = ["slots", shape.key_heads, "places", shape.head_width]
    return graph.model(
        {
            "tokens": (TensorProto.INT64, [1, "rows"]),
            "apart": (TensorProto.INT64, [3]),
            "last": (TensorProto.INT32, ["slots"]),
            "seen": (TensorProto.INT32, []),
            "wanted": (TensorProto.INT64, ["wanted"]),
            **{f"before:{name}": (TensorProto.FLOAT, cache) for name in cache_names(shape)},
        },
        ["logits", *cache_names(shape)],
    )


def _added(graph: GraphBuilder, y: str, x: str, ones: str, shape: Shape) -> tuple[str, str]:
    """The sum of both, normalised and as it is."""
    normalised, total = graph.name(), graph.name()
    outputs = [normalised, "", "", total]
    graph.node("SkipSimplifiedLayerNormalization", [y, x, ones], outputs, domain=MICROSOFT, epsilon=shape.epsilon)
    return normalised, total


def _rotations(shape: Shape, places: int) -> tuple[FloatArray, FloatArray]:
    """Cosine and sine of every place, each of shape (places, head_width / 2).

    Source: Su et al., RoFormer, 2021.
    """
    exponents = np.arange(0, shape.head_width, 2) / shape.head_width
    angles = np.arange(places)[:, None] * shape.rotation_base**-exponents
    return np.cos(angles).astype(np.float32), np.sin(angles).astype(np.float32)
