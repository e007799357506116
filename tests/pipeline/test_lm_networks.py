"""Networks on the cache: in few kernels they compute what transformers computes in many."""

from __future__ import annotations

import gc
import weakref
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import pytest

from tests.pipeline.conformance.engines import GPU_EXTRA

pytestmark = [*GPU_EXTRA]

SMALL = {
    "vocab_size": 90,
    "hidden_size": 48,
    "intermediate_size": 80,
    "num_hidden_layers": 3,
    "num_attention_heads": 6,
    "num_key_value_heads": 2,
    "max_position_embeddings": 512,
    "initializer_range": 0.2,
}
STRETCHED = {
    "rope_type": "llama3",
    "rope_theta": 500.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}
FUSED = {
    "llama": {"rope_parameters": STRETCHED},
    "mistral": {"sliding_window": None, "head_dim": 10},
    "qwen2": {},
    "qwen3": {"head_dim": 12, "tie_word_embeddings": True},
}
AS_WRITTEN = {
    "llama": {"attention_bias": True, "mlp_bias": True},
    "granite": {"residual_multiplier": 0.5},
    "qwen3": {"hidden_act": "gelu"},
}
KINDS = [*((kind, True, more) for kind, more in FUSED.items()), *((k, False, more) for k, more in AS_WRITTEN.items())]


def network_of(kind: str, more: dict[str, Any]) -> Any:
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    torch.manual_seed(3)
    network = AutoModelForCausalLM.from_config(
        AutoConfig.for_model(kind, **SMALL, **more), attn_implementation="sdpa"
    ).eval()
    with torch.no_grad():  # as they are made, norms and biases are all ones and zeros
        for weight in network.parameters():
            if weight.dim() == 1:
                weight.add_(0.3 * torch.randn_like(weight))
    return network


@pytest.mark.parametrize(("kind", "fused", "more"), KINDS)
def test_what_is_read_and_written_in_a_slot_is_what_the_network_says_of_it(
    kind: str, fused: bool, more: dict[str, Any]
) -> None:
    import torch

    from pipeline.lm.transformers.cache import Cache, View
    from pipeline.lm.transformers.networks import Fused, runner

    network = network_of(kind, more)
    said = torch.randint(90, (3, 61))
    with torch.inference_mode():
        expected = network(said).logits
    run = runner(network)
    assert isinstance(run, Fused) == fused
    cache = Cache(network.config, 3, 70, torch.float32, network.device)

    def told(slots: slice, begin: int, end: int, length: int) -> Any:
        places = torch.arange(begin, end).repeat(slots.stop - slots.start, 1)
        with torch.inference_mode():
            return run(said[slots, begin:end], places, View(cache, slots, places, length))

    for slot in (2, 0, 1):
        for begin, end in ((0, 7), (7, 40)):
            torch.testing.assert_close(
                told(slice(slot, slot + 1), begin, end, end)[0], expected[slot, end - 1], rtol=1e-3, atol=2e-4
            )
    for place, length in ((40, 41), (41, 64), (42, 70)):
        torch.testing.assert_close(
            told(slice(0, 3), place, place + 1, length), expected[:, place], rtol=1e-3, atol=2e-4
        )
    cache.swap(0, 2, 43)
    said = said[[2, 1, 0]]
    torch.testing.assert_close(told(slice(0, 2), 43, 44, 50), expected[[2, 1], 43], rtol=1e-3, atol=2e-4)
    cache.copy(1, 2, 44)
    said[2] = said[1]
    torch.testing.assert_close(told(slice(2, 3), 44, 45, 50), expected[[1], 44], rtol=1e-3, atol=2e-4)


def test_weights_are_in_memory_once() -> None:
    from pipeline.lm.transformers.networks import runner

    network = network_of("qwen2", {})
    before = sum(weight.numel() for weight in network.parameters())
    run: Any = runner(network)
    memories = {
        weight.untyped_storage().data_ptr(): weight.untyped_storage().nbytes() for weight in network.parameters()
    }
    assert sum(memories.values()) == 4 * before
    attention = network.model.layers[0].self_attn
    assert attention.k_proj.weight.untyped_storage().data_ptr() == run._layers[0].qkv.untyped_storage().data_ptr()


def test_a_step_runs_no_more_slots_and_places_than_it_must(monkeypatch: pytest.MonkeyPatch) -> None:
    from pipeline.lm.transformers import decoding
    from pipeline.lm.transformers.networks import runner

    shapes = []

    def watched(network: Any) -> Any:
        run = runner(network)

        def told(tokens: Any, places: Any, view: Any) -> Any:
            shapes.append((len(tokens), view.length))
            return run(tokens, places, view)

        return told

    monkeypatch.setattr(decoding, "runner", watched)
    on_cpu = decoding.TorchDecoding(network_of("llama", {}), conversations=6, context_tokens=500, cuda_graphs=True)
    for slot in range(6):
        on_cpu.read(slot, [3, 4, 5], 0)
    shapes.clear()
    on_cpu.step([(0, 7, 3)])
    on_cpu.step([(1, 7, 3)])
    on_cpu.step([(2, 7, 3), (0, 8, 4)])
    on_cpu.step([(5, 7, 3)])
    on_cpu.read(0, [1] * 251, 5)
    shapes.pop()
    on_cpu.step([(0, 9, 256)])
    assert shapes == [(1, 256), (2, 256), (4, 256), (6, 256), (1, 504)]


def test_a_recorded_step_keeps_what_its_graph_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    """A graph has only the address of it, so that nothing else would."""
    import torch

    from pipeline.lm.transformers.decoding import _Recorded

    stream = SimpleNamespace(wait_stream=lambda other: None)
    replayed: list[str] = []
    nothing_of_it = {
        "Stream": lambda: stream,
        "current_stream": lambda: stream,
        "stream": nullcontext,
        "graph": lambda graph, pool: nullcontext(),
        "CUDAGraph": lambda: SimpleNamespace(replay=lambda: replayed.append("graph")),
    }
    for name, instead in nothing_of_it.items():
        monkeypatch.setattr(torch.cuda, name, instead)

    def recorded_step() -> tuple[_Recorded, weakref.ref[torch.Tensor]]:
        read = torch.arange(3)
        return _Recorded(lambda: read + 1, pool=None), weakref.ref(read)

    recorded, alive = recorded_step()
    gc.collect()
    assert alive() is not None
    assert recorded().tolist() == [1, 2, 3]
    assert replayed == ["graph"]
