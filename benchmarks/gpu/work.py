"""How many bytes a stage has to move and how many operations it has to do: what no engine can save.

Of the language model and Whisper by arithmetic on their shapes (a test counts the same by torch). Of Kokoro and VITS,
whose sizes depend on what is said, by watching every operator of a run: there the traffic between the operators, each
of which reads and writes memory, is far more than the weights.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

PART = 256
"""Tokens of a prompt that are read at once: `pipeline.lm.batching`."""


@dataclass(frozen=True, slots=True)
class Work:
    """`half`: in 16-bit floats, else in 32-bit ones."""

    bytes: float
    flops: float
    half: bool = True

    def __add__(self, other: Work) -> Work:
        return Work(self.bytes + other.bytes, self.flops + other.flops, self.half)

    def times(self, number: float) -> Work:
        return Work(number * self.bytes, number * self.flops, self.half)


@dataclass(frozen=True, slots=True)
class LanguageModelShape:
    """A network as Llama's, its weights of 2 bytes.

    Attributes:
        family: its name in transformers.
        tied: words go in and out by the same matrix.
        more: what only its configuration has to know.
    """

    family: str
    layers: int
    width: int
    inner_width: int
    heads: int
    kept_heads: int
    head_width: int
    words: int
    tied: bool
    more: dict[str, Any]

    @property
    def in_layers(self) -> int:
        """Weights, but for norms (less than a thousandth)."""
        attention = self.width * self.head_width * (2 * self.heads + 2 * self.kept_heads)
        return self.layers * (attention + 3 * self.width * self.inner_width)

    @property
    def weights(self) -> int:
        return self.in_layers + self.words * self.width * (1 if self.tied else 2)

    def kept_bytes(self, tokens: float) -> float:
        """Keys and values of so many tokens."""
        return tokens * self.layers * self.kept_heads * self.head_width * 2 * 2

    def step(self, conversations: int, context: int) -> Work:
        """A token of each of several conversations. Of the words that go in, only those few are read."""
        read = 2 * (self.in_layers + self.words * self.width) + conversations * self.kept_bytes(context)
        each = 2 * (self.in_layers + self.words * self.width) + self._attention(context)
        return Work(read, conversations * each)

    def read(self, tokens: int, before: int) -> Work:
        """A prompt of so many tokens after others that are known, part by part."""
        work = Work(0, 0)
        for begin in range(0, tokens, PART):
            part = min(PART, tokens - begin)
            seen = before + begin + part
            flops = part * (2 * self.in_layers + self._attention(seen - part / 2)) + 2 * self.words * self.width
            work += Work(2 * (self.in_layers + self.words * self.width) + self.kept_bytes(seen), flops)
        return work

    def _attention(self, context: float) -> float:
        return 4 * self.layers * self.heads * self.head_width * context


@dataclass(frozen=True, slots=True)
class WhisperShape:
    """Weights of 2 bytes."""

    mels: int
    width: int
    inner_width: int
    heads: int
    encoder_layers: int
    decoder_layers: int
    words: int

    def hear(self, window_s: float) -> Work:
        """Encode a window: 100 frames a second, then 50."""
        places = 50 * window_s
        filters = 3 * self.mels * self.width * 2 * places + 3 * self.width * self.width * places
        layer = 4 * self.width**2 + 2 * self.width * self.inner_width
        weights = self.encoder_layers * layer + 3 * self.width * (self.mels + self.width)
        flops = 2 * filters + self.encoder_layers * (2 * layer * places + 4 * places**2 * self.width)
        return Work(2 * weights, flops)

    def remember(self, window_s: float) -> Work:
        """What the decoder's layers keep of the window, once for an utterance."""
        weights = self.decoder_layers * 2 * self.width**2
        return Work(2 * weights, 2 * weights * 50 * window_s)

    def write(self, tokens: int, window_s: float) -> Work:
        """One run of the decoder over so many tokens."""
        layer = 6 * self.width**2 + 2 * self.width * self.inner_width
        weights = self.decoder_layers * layer + self.words * self.width
        seen = 50 * window_s * self.width * self.decoder_layers
        return Work(2 * weights + 4 * seen, tokens * (2 * weights + 4 * seen))


def counted(run: Callable[[], object]) -> Work:
    """What the operators of a run in 32-bit floats move and do; those that move nothing are free. Needs torch.

    Operations are those of products and convolutions; recurrent layers and attention on a CPU are not counted.
    """
    with _counter() as counter:
        run()
    return Work(counter.bytes, counter.flops, half=False)


def _counter() -> Any:
    import torch
    from torch.utils._python_dispatch import TorchDispatchMode
    from torch.utils._pytree import tree_leaves
    from torch.utils.flop_counter import flop_registry

    def size(tensor: Any) -> int:
        return int(min(tensor.nbytes, tensor.untyped_storage().nbytes()))  # what is expanded is read once

    class Counter(TorchDispatchMode):  # type: ignore[misc]  # of torch, which is not looked into
        bytes = 0
        flops = 0

        def __torch_dispatch__(self, operator: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            kwargs = kwargs or {}
            with self:  # one that is made of others is counted as those
                result = operator.decompose(*args, **kwargs)
            if result is not NotImplemented:
                return result
            result = operator(*args, **kwargs)
            if not any(one.alias_info and not one.alias_info.is_write for one in operator._schema.returns):
                leaves = tree_leaves((args, kwargs, result))
                self.bytes += sum(size(leaf) for leaf in leaves if isinstance(leaf, torch.Tensor))
            name = operator._overloadpacket.__name__.removesuffix("_")  # in place it does the same
            if (count := flop_registry.get(getattr(torch.ops.aten, name, None))) is not None:
                self.flops += count(*args, **kwargs, out_val=result)
            return result

    return Counter()
