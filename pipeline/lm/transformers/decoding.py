"""A causal network of transformers with a cache of fixed size, for the batch: `pipeline.lm.batching`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

_SHORTEST_VIEW = 256


class TorchDecoding:
    """Satisfies `pipeline.lm.batching.Decoding`.

    A step runs all slots, in use or not: the weights, which are read once for all, are what it costs. So its shapes are
    always the same but for how much of the cache is looked at, in powers of two; on a GPU each is recorded once as a
    CUDA graph and replayed.
    """

    def __init__(self, network: Any, *, conversations: int, context_tokens: int, cuda_graphs: bool) -> None:
        """Raises `ValueError` for a network that does not look at all of its context in every layer."""
        config = network.config
        kinds = set(getattr(config, "layer_types", None) or ())
        if not kinds and getattr(config, "sliding_window", None):
            kinds = {"sliding_attention"}
        if other := kinds - {"full_attention"}:
            raise ValueError(f"{type(network).__name__} has layers of {sorted(other)}; only full attention is served")
        self.conversations = conversations
        self.context_tokens = context_tokens
        self._network = network
        self._device = network.device
        # One place more: there the slots that are not in use read what nobody looks at.
        self._cache = _Cache(config, conversations, context_tokens + 1, network.dtype, network.device)
        self._tokens = torch.zeros((conversations, 1), dtype=torch.long, device=network.device)
        self._places = torch.full((conversations, 1), context_tokens, dtype=torch.long, device=network.device)
        self._rows = torch.arange(conversations, device=network.device)[:, None]
        views = [_SHORTEST_VIEW]
        while views[-1] < context_tokens:
            views.append(2 * views[-1])
        self._steps: dict[int, Callable[[], torch.Tensor]] = {}
        for length in (min(view, context_tokens) for view in views):
            step = self._step_within(length)
            self._steps[length] = _recorded(step) if cuda_graphs and self._device.type == "cuda" else step

    @torch.inference_mode()
    def read(self, slot: int, tokens: Sequence[int], before: int) -> int:
        """See `Decoding`."""
        places = torch.arange(before, before + len(tokens), device=self._device)[None]
        row = torch.tensor([[slot]], device=self._device)
        view = self._cache.view(row, slice(slot, slot + 1), places, before + len(tokens))
        told = torch.tensor([list(tokens)], device=self._device)
        return int(self._run(told, places, view)[0])

    @torch.inference_mode()
    def step(self, fed: Sequence[tuple[int, int, int]]) -> list[int]:
        """See `Decoding`."""
        tokens = torch.zeros_like(self._tokens, device="cpu")
        places = torch.full_like(self._places, self.context_tokens, device="cpu")
        for slot, token, before in fed:
            tokens[slot], places[slot] = token, before
        self._tokens.copy_(tokens)
        self._places.copy_(places)
        seen = max(before for _, _, before in fed) + 1
        step = next(step for length, step in self._steps.items() if length >= seen)
        best = step().tolist()
        return [best[slot] for slot, _, _ in fed]

    def copy(self, source: int, target: int, length: int) -> None:
        """See `Decoding`."""
        self._cache.copy(source, target, length)

    def _step_within(self, length: int) -> Callable[[], torch.Tensor]:
        view = self._cache.view(self._rows, slice(None), self._places, length)
        return lambda: self._run(self._tokens, self._places, view)

    def _run(self, tokens: torch.Tensor, places: torch.Tensor, view: _View) -> torch.Tensor:
        """The likeliest token after the last of each row."""
        seen = torch.arange(view.length, device=self._device)[None, None, None, :] <= places[:, None, :, None]
        told = self._network(
            input_ids=tokens,
            attention_mask=seen,
            position_ids=places,
            cache=view,
            use_cache=True,
            logits_to_keep=1,
        )
        best: torch.Tensor = told.logits[:, -1].argmax(dim=-1)
        return best


class _Cache:
    """Keys and values of every layer: (slots, heads, places, width)."""

    def __init__(self, config: Any, slots: int, places: int, dtype: torch.dtype, device: torch.device) -> None:
        width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
        shape = (slots, config.num_key_value_heads, places, width)
        layers = range(config.num_hidden_layers)
        self.keys = [torch.zeros(shape, dtype=dtype, device=device) for _ in layers]
        self.values = [torch.zeros(shape, dtype=dtype, device=device) for _ in layers]

    def view(self, rows: torch.Tensor, slots: slice, places: torch.Tensor, length: int) -> _View:
        return _View(self, rows, slots, places, length)

    @torch.inference_mode()
    def copy(self, source: int, target: int, length: int) -> None:
        for kept in (*self.keys, *self.values):
            kept[target, :, :length] = kept[source, :, :length]


class _View:
    """What one run sees of the cache, in the place of a `transformers.Cache`: `slots`, up to `length`.

    Args:
        rows: the slots as a column, int64, shape (slots, 1).
        places: where each row's tokens come, int64, shape (slots, tokens).
    """

    is_compileable = False

    def __init__(self, cache: _Cache, rows: torch.Tensor, slots: slice, places: torch.Tensor, length: int) -> None:
        self.length = length
        self._cache = cache
        self._rows = rows
        self._slots = slots
        self._places = places

    def update(
        self, keys: torch.Tensor, values: torch.Tensor, layer: int, *_: Any, **__: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Take the keys and values of the new tokens, (slots, heads, tokens, width); give those that are seen."""
        seen = []
        for kept, new in ((self._cache.keys[layer], keys), (self._cache.values[layer], values)):
            kept[self._rows, :, self._places] = new.transpose(1, 2)
            seen.append(kept[self._slots, :, : self.length])
        return seen[0], seen[1]

    def get_seq_length(self, layer: int = 0) -> int:
        """Nobody needs it: places and mask are given."""
        return 0


def _recorded(step: Callable[[], torch.Tensor]) -> Callable[[], torch.Tensor]:
    """The same step as a CUDA graph: its hundreds of kernels are started by one call."""
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.inference_mode():
        with torch.cuda.stream(side):
            for _ in range(2):  # what is set up on first use must not be recorded
                step()
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            result = step()

    def replay() -> torch.Tensor:
        graph.replay()
        return result

    return replay
