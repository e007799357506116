"""The language model through its engine: tokens a second by the number of conversations, and what a prompt costs."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.gpu.records import Row, Scenario, Stopwatch
from benchmarks.gpu.shapes import write_language_model
from benchmarks.gpu.work import LanguageModelShape
from pipeline.lm.base import Message
from pipeline.loading import load_language_model
from pipeline.profiles.engines import Device, Dtype, Transformers
from pipeline.stopping import Stop
from pipeline.weights import WeightStore

_SPARE_GB = 3.0
"""Of the GPU's memory, for the other models and what torch needs to work."""
_AROUND = 50
"""Tokens of the template and of the number."""
_SENTENCE = "And what would that be if I came a day later, do you think? "


class Thinking:
    """A language model of random weights, loaded as a profile's.

    Attributes:
        most: conversations that it has room for.
    """

    def __init__(self, shape: LanguageModelShape, scenario: Scenario, device: Device, folder: str | None) -> None:
        """`folder` is where the weights are written, for as long as they are loaded."""
        self.shape = shape
        self.most = _that_fit(shape, scenario, device)
        self._scenario = scenario
        self._numbers = count()
        dtype: Dtype = "bfloat16" if device == "cuda" else "float32"
        with TemporaryDirectory(dir=folder) as place:
            write_language_model(shape, Path(place), device=device, dtype=dtype)
            if device == "cuda":
                import torch

                torch.cuda.empty_cache()
            settings = Transformers(
                place,
                "",
                gated=False,
                device=device,
                dtype=dtype,
                conversations=self.most,
                context_tokens=scenario.context_tokens,
                cuda_graphs=True,
            )
            self.engine: Any = load_language_model(settings, WeightStore())

    def history(self) -> list[Message]:
        """A conversation that no other begins as."""
        size = (self._scenario.history_tokens - _AROUND) // 3
        said = (_SENTENCE * (size // len(_SENTENCE) + 1))[:size]
        first = Message("system", f"{next(self._numbers):06} {said}")
        return [first, Message("user", said), Message("assistant", said)]

    def asked(self, history: list[Message], number: int) -> list[Message]:
        """The next turn, in which everything is new but its template."""
        return [*history, Message("user", f"{number:06} {_SENTENCE}"[: self._scenario.turn_tokens])]

    def write(self, messages: list[Message], tokens: int) -> Iterator[int]:
        """Count tokens as they are written; the rest of the answer is not wanted."""
        pieces = self.engine.reply(messages, max_tokens=tokens, stop=Stop())
        return (number for number, _ in enumerate((piece for piece in pieces if isinstance(piece, str)), 1))

    def first_token(self, messages: list[Message]) -> None:
        """Read a prompt to its end, and write one token."""
        for _ in self.write(messages, 1):
            pass

    def tokens_of(self, messages: list[Message]) -> int:
        *_, usage = self.engine.reply(messages, max_tokens=1, stop=Stop())
        return int(usage.prompt_tokens)

    def decode(self, clock: Stopwatch, profile: str) -> Iterator[Row]:
        """Steps of several conversations, each as long as the scenario's; the last row is of one with a long one."""
        scenario = self._scenario
        usual = scenario.history_tokens + scenario.turn_tokens
        sizes = [(size, usual) for size in scenario.sizes if size <= self.most]
        for size, context in [*sizes, (1, scenario.context_tokens - 1)]:
            fed = [(slot, 5 + slot, context - 1) for slot in range(size)]
            step = partial(self.engine.decoding.step, fed)
            for _ in range(3):
                step()
            took = [clock.time(step)[1] for _ in range(scenario.steps)]
            yield clock.row(
                "decode", f"a token, {context} before it", took, self.shape.step(size, context), profile, size
            )

    def prompts(self, clock: Stopwatch, profile: str) -> Iterator[Row]:
        """The first token of a turn: of a conversation that the model has in memory, and of one that it has not."""
        scenario, kept = self._scenario, self.history()
        before, whole = self.tokens_of(kept), self.tokens_of(self.asked(kept, 0))
        for what, read in (("kept", self.shape.read(whole - before, before)), ("cold", self.shape.read(whole, 0))):
            took = []
            for number in range(1 - 3, 1 + scenario.turns):  # the first three warm it
                messages = self.asked(kept if what == "kept" else self.history(), 10 + number)
                took.append(clock.time(partial(self.first_token, messages))[1])
            tokens = whole - before if what == "kept" else whole
            yield clock.row(
                "prompt", f"first token, {what}: {tokens} of {whole} tokens are read", took[3:], read, profile
            )


def _that_fit(shape: LanguageModelShape, scenario: Scenario, device: str) -> int:
    most = max(scenario.sizes)
    if device != "cuda":
        return most
    import torch

    free, _ = torch.cuda.mem_get_info()
    room = free - 2 * shape.weights - 1e9 * _SPARE_GB
    return max(
        size for size in (1, *scenario.sizes) if size * shape.kept_bytes(scenario.context_tokens) <= room or size == 1
    )
