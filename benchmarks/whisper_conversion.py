"""A Whisper of CTranslate2 in transformers' form: the same weights for both engines, so that they can be compared."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np

from pipeline.stt.whisper.graphs import Shape
from pipeline.stt.whisper.weights import Weights, read_weights


def convert(source: Path, target: Path) -> None:
    """Writes the folder `target` for transformers, in float32, from the folder of a CTranslate2 model. Needs torch."""
    import torch
    from transformers import GenerationConfig, WhisperConfig, WhisperForConditionalGeneration

    weights = read_weights(source / "model.bin")
    shape = Shape.of(weights)
    said = json.loads((source / "config.json").read_text(encoding="utf-8"))
    config = WhisperConfig(
        vocab_size=len(weights["decoder/embeddings/weight"]),
        num_mel_bins=shape.mels,
        d_model=shape.width,
        encoder_layers=sum(name.endswith("/self_attention/linear_0/weight") for name in weights if "encoder/" in name),
        decoder_layers=shape.layers,
        encoder_attention_heads=int(weights["encoder/num_heads"]),
        decoder_attention_heads=shape.heads,
        encoder_ffn_dim=len(weights["encoder/layer_0/ffn/linear_0/weight"]),
        decoder_ffn_dim=len(weights["decoder/layer_0/ffn/linear_0/weight"]),
    )
    model = WhisperForConditionalGeneration(config)
    named = {name: torch.from_numpy(np.array(value, np.float32)) for name, value in _renamed(weights, shape).items()}
    left = model.load_state_dict(named, strict=False)
    if left.unexpected_keys or set(left.missing_keys) - {"proj_out.weight"}:
        raise ValueError(f"{source} is of another kind: {left}")
    model.tie_weights()
    model.generation_config = GenerationConfig(
        suppress_tokens=said["suppress_ids"],
        begin_suppress_tokens=said["suppress_ids_begin"],
        decoder_start_token_id=config.decoder_start_token_id,
    )
    model.save_pretrained(target)
    shutil.copy(source / "tokenizer.json", target)


def _renamed(weights: Weights, shape: Shape) -> Weights:
    """Under transformers' names; what CTranslate2 has fused is taken apart."""
    named: Weights = {}

    def take(theirs: str, ours: str, *parts: str) -> None:
        for kind, other in (("weight", "weight"), ("bias", "bias"), ("gamma", "weight"), ("beta", "bias")):
            if (value := weights.get(f"{theirs}/{kind}")) is None:
                continue
            pieces = np.split(value, len(parts)) if parts else [value]
            for part, piece in zip(parts or ("",), pieces, strict=True):
                # Whisper's keys have no bias, and CTranslate2 fills the place with zeros.
                if not (part == "k_proj" and other == "bias"):
                    named[f"{ours}{'.' if part else ''}{part}.{other}"] = piece

    for half in ("encoder", "decoder"):
        named[f"model.{half}.embed_positions.weight"] = weights[f"{half}/position_encodings/encodings"]
        take(f"{half}/layer_norm", f"model.{half}.layer_norm")
        layer = 0
        while f"{half}/layer_{layer}/ffn/linear_0/weight" in weights:
            theirs, ours = f"{half}/layer_{layer}", f"model.{half}.layers.{layer}"
            take(f"{theirs}/self_attention/layer_norm", f"{ours}.self_attn_layer_norm")
            take(f"{theirs}/self_attention/linear_0", f"{ours}.self_attn", "q_proj", "k_proj", "v_proj")
            take(f"{theirs}/self_attention/linear_1", f"{ours}.self_attn.out_proj")
            take(f"{theirs}/ffn/layer_norm", f"{ours}.final_layer_norm")
            take(f"{theirs}/ffn/linear_0", f"{ours}.fc1")
            take(f"{theirs}/ffn/linear_1", f"{ours}.fc2")
            if half == "decoder":
                take(f"{theirs}/attention/layer_norm", f"{ours}.encoder_attn_layer_norm")
                take(f"{theirs}/attention/linear_0", f"{ours}.encoder_attn.q_proj")
                take(f"{theirs}/attention/linear_1", f"{ours}.encoder_attn", "k_proj", "v_proj")
                take(f"{theirs}/attention/linear_2", f"{ours}.encoder_attn.out_proj")
            layer += 1
    take("encoder/conv1", "model.encoder.conv1")
    take("encoder/conv2", "model.encoder.conv2")
    named["model.decoder.embed_tokens.weight"] = weights["decoder/embeddings/weight"]
    return named
