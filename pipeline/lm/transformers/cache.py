"""Keys and values of all conversations, in a memory of fixed size."""

from __future__ import annotations

from typing import Any

import torch

_MULTIPLE = 8
"""Places; a mask whose rows are not a multiple of 16 bytes is copied by every layer."""


class Cache:
    """Keys and values of every layer: (slots, heads, places, width).

    Attributes:
        spare: a place behind all others, where slots that are not in use read what nobody looks at.
    """

    def __init__(self, config: Any, slots: int, places: int, dtype: torch.dtype, device: torch.device) -> None:
        width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
        shape = (slots, config.num_key_value_heads, _rounded_up(places + 1), width)
        layers = range(config.num_hidden_layers)
        self.spare = places
        self.keys = [torch.zeros(shape, dtype=dtype, device=device) for _ in layers]
        self.values = [torch.zeros(shape, dtype=dtype, device=device) for _ in layers]

    @torch.inference_mode()
    def copy(self, source: int, target: int, length: int) -> None:
        """Have the first `length` places of a slot in another, too."""
        for kept in (*self.keys, *self.values):
            kept[target, :, :length] = kept[source, :, :length]

    @torch.inference_mode()
    def swap(self, one: int, other: int, length: int) -> None:
        """Exchange the first `length` places of two slots."""
        for kept in (*self.keys, *self.values):
            first = kept[one, :, :length].clone()
            kept[one, :, :length] = kept[other, :, :length]
            kept[other, :, :length] = first


class View:
    """What one run sees of a cache: some slots, up to a length. Takes the place of a `transformers.Cache`.

    Attributes:
        length: how many places are seen; those that nothing is in are for the mask to hide.
    """

    is_compileable = False

    def __init__(self, cache: Cache, slots: slice, places: torch.Tensor, length: int) -> None:
        """Args:
        places: where each slot's new tokens come, int64, shape (slots, tokens).
        length: at least so many places are to be seen.
        """
        self.length = _rounded_up(length)
        self._cache = cache
        self._slots = slots
        self._places = places
        self._rows = torch.arange(slots.start, slots.stop, device=places.device)[:, None]

    def put(self, layer: int, keys: torch.Tensor, values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Take the keys and values of the new tokens, (slots, tokens, heads, width); give all that are seen, (slots,
        heads, length, width)."""
        seen = []
        for kept, new in ((self._cache.keys[layer], keys), (self._cache.values[layer], values)):
            kept[self._rows, :, self._places] = new
            seen.append(kept[self._slots, :, : self.length])
        return seen[0], seen[1]

    def update(
        self, keys: torch.Tensor, values: torch.Tensor, layer: int, *_: Any, **__: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The same as transformers wants it: keys and values come as (slots, heads, tokens, width)."""
        return self.put(layer, keys.transpose(1, 2), values.transpose(1, 2))

    def get_seq_length(self, layer: int = 0) -> int:
        """Nobody needs it: places and mask are given."""
        return 0


def _rounded_up(places: int) -> int:
    return -(-places // _MULTIPLE) * _MULTIPLE
