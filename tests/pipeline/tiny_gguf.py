"""A Llama of some thousand random weights as a GGUF file, and what it computes, in floats."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.audio import FloatArray

WIDTH, INNER_WIDTH, HEADS, KEY_HEADS, HEAD_WIDTH, LAYERS = 96, 192, 6, 2, 16, 3
CONTROL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
WORDS = [*CONTROL, *(chr(code) for code in range(33, 127)), "Ġ", "Ċ", "th", "the", "in"]
MERGES = ["t h", "th e", "i n"]
TEMPLATE = (
    "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>'}}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
VALUES: dict[str, Any] = {
    "general.architecture": "llama",
    "llama.block_count": LAYERS,
    "llama.embedding_length": WIDTH,
    "llama.feed_forward_length": INNER_WIDTH,
    "llama.attention.head_count": HEADS,
    "llama.attention.head_count_kv": KEY_HEADS,
    "llama.attention.layer_norm_rms_epsilon": 1e-5,
    "llama.rope.freq_base": 10_000.0,
    "tokenizer.ggml.pre": "smollm",
    "tokenizer.ggml.tokens": WORDS,
    "tokenizer.ggml.token_type": [3] * len(CONTROL) + [1] * (len(WORDS) - len(CONTROL)),
    "tokenizer.ggml.merges": MERGES,
    "tokenizer.ggml.eos_token_id": 2,
    "tokenizer.chat_template": TEMPLATE,
}


def weights() -> dict[str, FloatArray]:
    random = np.random.default_rng(5)

    def weight(*shape: int) -> FloatArray:
        return (random.standard_normal(shape) * shape[-1] ** -0.5).astype(np.float32)

    made = {"token_embd.weight": weight(len(WORDS), WIDTH) * 4, "output_norm.weight": 1 + weight(WIDTH)}
    keys = KEY_HEADS * HEAD_WIDTH
    for layer in range(LAYERS):
        of = f"blk.{layer}"
        shapes = {"attn_q": (WIDTH, WIDTH), "attn_k": (keys, WIDTH), "attn_v": (keys, WIDTH)}
        shapes |= {"attn_output": (WIDTH, WIDTH), "ffn_gate": (INNER_WIDTH, WIDTH), "ffn_up": (INNER_WIDTH, WIDTH)}
        shapes |= {"ffn_down": (WIDTH, INNER_WIDTH)}
        made |= {f"{of}.{name}.weight": weight(*shape) for name, shape in shapes.items()}
        made |= {f"{of}.{name}.weight": 1 + weight(WIDTH) for name in ("attn_norm", "ffn_norm")}
    return made


def write(path: Path, values: dict[str, Any] = VALUES, tensors: dict[str, FloatArray] | None = None) -> Path:
    """All tensors as plain numbers of 32 bits."""
    tensors = weights() if tensors is None else tensors
    parts = [b"GGUF", struct.pack("<IQQ", 3, len(tensors), len(values))]
    parts += [_string(name) + _value(value) for name, value in values.items()]
    at = 0
    for name, tensor in tensors.items():
        dimensions = struct.pack(f"<I{tensor.ndim}Q", tensor.ndim, *tensor.shape[::-1])
        parts.append(_string(name) + dimensions + struct.pack("<IQ", 0, at))
        at += tensor.nbytes
    head = b"".join(parts)
    path.write_bytes(head + bytes(-len(head) % 32) + b"".join(tensor.tobytes() for tensor in tensors.values()))
    return path


def logits(tokens: list[int]) -> FloatArray:
    """Of what follows each of them: shape (tokens, words)."""
    of = weights()
    x = of["token_embd.weight"][tokens]
    for layer in range(LAYERS):
        y = _normalised(x, of[f"blk.{layer}.attn_norm.weight"])
        queries, keys, values = (
            (y @ of[f"blk.{layer}.attn_{name}.weight"].T).reshape(len(tokens), -1, HEAD_WIDTH) for name in "qkv"
        )
        queries, keys = _rotated(queries), _rotated(keys).repeat(HEADS // KEY_HEADS, axis=1)
        seen = np.einsum("qhd,khd->hqk", queries, keys) * HEAD_WIDTH**-0.5
        seen = np.exp(np.where(np.tri(len(tokens), dtype=bool), seen, -np.inf))
        found = np.einsum("hqk,khd->qhd", seen / seen.sum(2, keepdims=True), values.repeat(HEADS // KEY_HEADS, axis=1))
        x = x + found.reshape(len(tokens), WIDTH) @ of[f"blk.{layer}.attn_output.weight"].T
        y = _normalised(x, of[f"blk.{layer}.ffn_norm.weight"])
        gate, up = (y @ of[f"blk.{layer}.ffn_{name}.weight"].T for name in ("gate", "up"))
        x = x + (gate / (1 + np.exp(-gate)) * up) @ of[f"blk.{layer}.ffn_down.weight"].T
    result: FloatArray = _normalised(x, of["output_norm.weight"]) @ of["token_embd.weight"].T
    return result


def _normalised(x: FloatArray, gain: FloatArray) -> FloatArray:
    result: FloatArray = x / np.sqrt((x**2).mean(1, keepdims=True) + 1e-5) * gain
    return result


def _rotated(x: FloatArray) -> FloatArray:
    """Of each pair of neighbours, by an angle that grows with the place."""
    angles = np.arange(len(x))[:, None] * 10_000.0 ** -(np.arange(0, HEAD_WIDTH, 2) / HEAD_WIDTH)
    turned = (x[..., ::2] + 1j * x[..., 1::2]) * np.exp(1j * angles)[:, None]
    result: FloatArray = np.stack([turned.real, turned.imag], axis=-1).reshape(x.shape).astype(np.float32)
    return result


def _string(text: str) -> bytes:
    encoded = text.encode()
    return struct.pack("<Q", len(encoded)) + encoded


def _value(value: Any) -> bytes:
    """With its type before it."""
    match value:
        case str():
            return struct.pack("<I", 8) + _string(value)
        case int():
            return struct.pack("<II", 4, value)
        case float():
            return struct.pack("<If", 6, value)
        case list():
            items = [_value(item) for item in value]
            return struct.pack("<I", 9) + items[0][:4] + struct.pack("<Q", len(items)) + b"".join(i[4:] for i in items)
    raise TypeError(type(value))
