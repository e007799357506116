"""A network whose answers anybody can reckon, for tests of the batch that writes with it."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.lm.batching import Batch, Request
from pipeline.stopping import Stop

END = 0
ENDS = frozenset({END})


class Arithmetic:
    """What follows depends on all that was read: so whoever reads the wrong thing answers wrong. It never ends."""

    on_processor = True
    read_at_once = 256

    def __init__(self, conversations: int = 2, context_tokens: int = 1000, most_drafted: int = 0) -> None:
        self.conversations = conversations
        self.context_tokens = context_tokens
        self.most_drafted = most_drafted
        self.held: list[list[int]] = [[] for _ in range(conversations)]
        self.reads: list[tuple[int, int, int]] = []
        self.steps: list[int] = []
        self.fails = False

    def read(self, slot: int, tokens: Sequence[int], before: int) -> int:
        assert len(self.held[slot]) >= before
        assert before + len(tokens) <= self.context_tokens
        self.held[slot] = [*self.held[slot][:before], *tokens]
        self.reads.append((slot, len(tokens), before))
        return self.follows(self.held[slot])

    def step(self, fed: Sequence[tuple[int, int, int]]) -> list[int]:
        self.steps.append(len(fed))
        if self.fails:
            raise RuntimeError("out of memory")
        best = [self.read(slot, [token], before) for slot, token, before in fed]
        del self.reads[-len(fed) :]
        return best

    def verify(self, slot: int, tokens: Sequence[int], before: int) -> list[int]:
        self.steps.append(1)
        assert len(tokens) <= self.most_drafted + 1
        best = [self.read(slot, [token], before + number) for number, token in enumerate(tokens)]
        del self.reads[-len(tokens) :]
        return best

    def copy(self, source: int, target: int, length: int) -> None:
        self.held[target] = self.held[source][:length]

    def swap(self, one: int, other: int, length: int) -> None:
        self.held[one], self.held[other] = self.held[other][:length], self.held[one][:length]

    @staticmethod
    def follows(held: Sequence[int]) -> int:
        value = 7
        for token in held:
            value = (31 * value + token) % 997
        return value + 1


class Ending(Arithmetic):
    """Ends after three tokens."""

    def step(self, fed: Sequence[tuple[int, int, int]]) -> list[int]:
        best = super().step(fed)
        return [END if len(self.steps) >= 3 else token for token in best]


class Chanting(Arithmetic):
    """Counts to five, again and again."""

    @staticmethod
    def follows(held: Sequence[int]) -> int:
        return held[-1] % 5 + 1


def expected(prompt: Sequence[int], count: int) -> list[int]:
    held = list(prompt)
    for _ in range(count):
        held.append(Arithmetic.follows(held))
    return held[len(prompt) :]


def finish(batch: Batch) -> None:
    while batch.step():
        pass


def ask(batch: Batch, prompt: Sequence[int], most: int = 5, stop: Stop | None = None) -> Request:
    return batch.submit(prompt, most, ENDS, stop or Stop())
