"""A causal network of transformers, run on a view of the cache.

A step that writes a token reads every weight once, and should cost no more than that. As transformers writes it out, a
layer is some fifty kernels, most of which have next to nothing to do and still take two microseconds each of a GPU,
recorded or not: on an H100 that is as long as the weights of a small model take. `Fused` has fifteen in a layer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import torch
from torch.nn import functional

from pipeline.lm.transformers.cache import View

Run: TypeAlias = Callable[[torch.Tensor, torch.Tensor, View], torch.Tensor]
"""From tokens and their places, int64, shape (slots, tokens), to the logits after the last: shape (slots, words)."""

_ALIKE = ("llama", "mistral", "qwen2", "qwen3")
"""Networks that are the same but for biases and norms of queries and keys."""


def runner(network: Any) -> Run:
    """The fastest way to run a network. Takes its weights over: do not change them afterwards."""
    config = network.config
    plain = getattr(config, "hidden_act", None) == "silu" and not getattr(config, "mlp_bias", False)
    if config.model_type in _ALIKE and plain and network.model.layers[0].self_attn.o_proj.bias is None:
        return Fused(network)
    return _as_written(network)


def _as_written(network: Any) -> Run:
    """By its own code, which knows all that there is to know of its kind."""

    def run(tokens: torch.Tensor, places: torch.Tensor, view: View) -> torch.Tensor:
        told = network(
            input_ids=tokens,
            attention_mask=_seen(places, view.length)[:, None],
            position_ids=places,
            cache=view,
            use_cache=True,
            logits_to_keep=1,
        )
        logits: torch.Tensor = told.logits[:, -1]
        return logits

    return run


def _seen(places: torch.Tensor, length: int) -> torch.Tensor:
    """Whether a token sees a place: bool, shape (slots, tokens, length)."""
    return torch.arange(length, device=places.device) <= places[:, :, None]


class Fused:
    """Llama, Mistral, Qwen 2 and Qwen 3. Their projections of the same input become one matrix each."""

    def __init__(self, network: Any) -> None:
        config, model = network.config, network.model
        self._layers = [_Layer(layer) for layer in model.layers]
        self._embed, self._rotary = model.embed_tokens, model.rotary_emb
        self._norm, self._to_words = model.norm.weight, network.lm_head.weight
        self._epsilon = config.rms_norm_eps
        self._heads, self._kept_heads = config.num_attention_heads, config.num_key_value_heads
        self._scale = model.layers[0].self_attn.scaling

    def __call__(self, tokens: torch.Tensor, places: torch.Tensor, view: View) -> torch.Tensor:
        x = self._embed(tokens)
        cosine, sine = (table[:, :, None] for table in self._rotary(x, position_ids=places))
        half = sine.shape[-1] // 2
        sine = torch.cat((-sine[..., :half], sine[..., half:]), dim=-1)
        hidden = torch.zeros((), dtype=x.dtype, device=x.device).masked_fill(~_seen(places, view.length), float("-inf"))
        # All heads that share their keys are one head with as many tokens more.
        shared = self._heads // self._kept_heads
        mask = hidden[:, None, None].expand(-1, 1, shared, -1, -1).reshape(len(tokens), 1, -1, view.length)
        for number, layer in enumerate(self._layers):
            self._attend(layer, number, x, (cosine, sine), mask, view)
            gate, up = functional.linear(self._normed(x, layer.norm_before_mlp), layer.gate_up).chunk(2, dim=-1)
            _add(x, functional.silu(gate) * up, layer.down)
        return functional.linear(self._normed(x[:, -1], self._norm), self._to_words)

    def _attend(
        self,
        layer: _Layer,
        number: int,
        x: torch.Tensor,
        rotation: tuple[torch.Tensor, torch.Tensor],
        mask: torch.Tensor,
        view: View,
    ) -> None:
        slots, tokens, _ = x.shape
        kept, shared = self._kept_heads, self._heads // self._kept_heads
        told = functional.linear(self._normed(x, layer.norm_before_attention), layer.qkv, layer.qkv_bias)
        told = told.view(slots, tokens, self._heads + 2 * kept, -1)
        turned, values = told[:, :, :-kept], told[:, :, -kept:]
        if layer.norm_of_heads is not None:
            turned = functional.rms_norm(turned, turned.shape[-1:], None, self._epsilon) * layer.norm_of_heads
        cosine, sine = rotation
        turned = torch.addcmul(turned * cosine, turned.roll(turned.shape[-1] // 2, dims=-1), sine)
        queries, keys = turned[:, :, : self._heads], turned[:, :, self._heads :]
        all_keys, all_values = view.put(number, keys, values)
        queries = queries.unflatten(2, (kept, shared)).permute(0, 2, 3, 1, 4).flatten(2, 3)
        seen = functional.scaled_dot_product_attention(queries, all_keys, all_values, mask, scale=self._scale)
        seen = seen.unflatten(2, (shared, tokens)).permute(0, 3, 1, 2, 4)
        _add(x, seen.reshape(slots, tokens, -1), layer.out)

    def _normed(self, x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        return functional.rms_norm(x, weight.shape, weight, self._epsilon)


def _add(x: torch.Tensor, y: torch.Tensor, weight: torch.Tensor) -> None:
    """`x += weight y`, in one kernel."""
    x.view(-1, x.shape[-1]).addmm_(y.reshape(-1, y.shape[-1]), weight.t())


class _Layer:
    """Attributes:
    norm_of_heads: of queries and keys, shape (heads of both, width); None in a network that has none.
    """

    def __init__(self, layer: Any) -> None:
        attention, mlp = layer.self_attn, layer.mlp
        projections = (attention.q_proj, attention.k_proj, attention.v_proj)
        self.qkv = _joined([one.weight for one in projections])
        biased = projections[0].bias is not None
        self.qkv_bias = _joined([one.bias for one in projections]) if biased else None
        self.out = attention.o_proj.weight
        self.gate_up = _joined([mlp.gate_proj.weight, mlp.up_proj.weight])
        self.down = mlp.down_proj.weight
        self.norm_before_attention = layer.input_layernorm.weight
        self.norm_before_mlp = layer.post_attention_layernorm.weight
        self.norm_of_heads = None
        if hasattr(attention, "q_norm"):
            width = attention.head_dim
            self.norm_of_heads = torch.cat(
                [
                    norm.weight.expand(len(projection.weight) // width, width)
                    for norm, projection in ((attention.q_norm, projections[0]), (attention.k_norm, projections[1]))
                ]
            )


@torch.no_grad()
def _joined(parts: Sequence[torch.nn.Parameter]) -> torch.Tensor:
    """One below the other; the parts become views of it, so that the memory is taken once."""
    whole = torch.cat([part.data for part in parts])
    for part, place in zip(parts, whole.split([len(part) for part in parts]), strict=True):
        part.data = place
    return whole
