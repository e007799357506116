"""A causal network of transformers with a cache of fixed size, for the batch: `pipeline.lm.batching`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeAlias

import torch

from pipeline.lm.transformers.cache import Cache, View
from pipeline.lm.transformers.networks import runner

_Step: TypeAlias = Callable[[], torch.Tensor]

_SHORTEST_VIEW = 256


class TorchDecoding:
    """Satisfies `pipeline.lm.batching.Decoding`.

    A step reads the weights once for all slots that it runs, and their keys and values. It runs the first slots up to
    the last in use, and looks at the first places up to the last in use, both in powers of two: on a GPU each of these
    shapes is recorded once as a CUDA graph and replayed.
    """

    read_at_once = 256
    most_drafted = 0  # each number of tokens would be a CUDA graph more

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
        self._device = network.device
        self._run = runner(network)
        self._cache = Cache(config, conversations, context_tokens, network.dtype, network.device)
        on_gpu = self._device.type == "cuda"
        self.on_processor = not on_gpu
        # Tokens and places of all slots: written here, and brought there in one copy.
        self._told = torch.zeros((2, conversations, 1), dtype=torch.long, pin_memory=on_gpu)
        self._fed = torch.zeros((2, conversations, 1), dtype=torch.long, device=self._device)
        pool = torch.cuda.graph_pool_handle() if cuda_graphs and on_gpu else None
        with torch.inference_mode():
            # The largest first: the memory of one graph is used again by those that need no more.
            self._steps = {
                (slots, length): self._step_of(slots, length, pool)
                for slots in sorted(_doubled(1, conversations), reverse=True)
                for length in sorted(_doubled(_SHORTEST_VIEW, context_tokens), reverse=True)
            }

    @torch.inference_mode()
    def read(self, slot: int, tokens: Sequence[int], before: int) -> int:
        """See `Decoding`."""
        told, places = torch.tensor(
            [[[*tokens]], [[*range(before, before + len(tokens))]]], device=self._device
        ).unbind()
        view = View(self._cache, slice(slot, slot + 1), places, before + len(tokens))
        return int(self._run(told, places, view).argmax(dim=-1)[0])

    @torch.inference_mode()
    def step(self, fed: Sequence[tuple[int, int, int]]) -> list[int]:
        """See `Decoding`."""
        self._told[0], self._told[1] = 0, self._cache.spare
        for slot, token, before in fed:
            self._told[0, slot], self._told[1, slot] = token, before
        self._fed.copy_(self._told, non_blocking=True)
        last = max(slot for slot, _, _ in fed) + 1
        seen = max(before for _, _, before in fed) + 1
        shape = min(shape for shape in self._steps if shape[0] >= last and shape[1] >= seen)
        best = self._steps[shape]().tolist()
        return [best[slot] for slot, _, _ in fed]

    def verify(self, slot: int, tokens: Sequence[int], before: int) -> list[int]:
        """See `Decoding`: nothing is drafted here."""
        raise NotImplementedError

    def copy(self, source: int, target: int, length: int) -> None:
        """See `Decoding`."""
        self._cache.copy(source, target, length)

    def swap(self, one: int, other: int, length: int) -> None:
        """See `Decoding`."""
        self._cache.swap(one, other, length)

    def _step_of(self, slots: int, length: int, pool: Any) -> _Step:
        """Recorded, if there is a `pool` for it."""
        tokens, places = self._fed[:, :slots].unbind()
        view = View(self._cache, slice(0, slots), places, length)

        def step() -> torch.Tensor:
            return self._run(tokens, places, view).argmax(dim=-1)

        return step if pool is None else _Recorded(step, pool)


def _doubled(first: int, most: int) -> Iterator[int]:
    """`first`, twice that, and so on, the last of them `most`."""
    while first < most:
        yield first
        first *= 2
    yield most


class _Recorded:
    """A step as a CUDA graph: its hundreds of kernels are started by one call.

    A graph knows the tensors that it reads by their address only, so the step that holds them is kept as long as it.
    """

    def __init__(self, step: _Step, pool: Any) -> None:
        """`pool` is the memory it works in, which other graphs may share: no two are replayed at once, and what one
        says is read before the next is."""
        self._step = step
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(2):  # what is set up on first use must not be recorded
                step()
        torch.cuda.current_stream().wait_stream(side)
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph, pool=pool):
            self._result = step()

    def __call__(self) -> torch.Tensor:
        self._graph.replay()
        return self._result
