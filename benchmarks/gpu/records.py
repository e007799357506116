"""What was measured, a line each, and the clock it is measured by."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from benchmarks.gpu.work import Work
from harness.statistics import quantile
from pipeline.profiles.engines import Device

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Machine:
    """Where and with what. `bandwidth_gb_s` and `half_tflops` are measured; on a CPU they say little."""

    device: Device
    name: str
    torch: str
    cuda: str
    transformers: str
    bandwidth_gb_s: float
    half_tflops: float
    tiny: bool


@dataclass(frozen=True, slots=True)
class Scenario:
    """The turn that is measured, of a conversation that has gone on for some minutes.

    Attributes:
        history_tokens: that the language model has read before; one of a few minutes, with instructions.
        turn_tokens: of the caller's new turn.
        clause_tokens: that are written before anything can be spoken.
        window_s: that Whisper hears, as the profiles have it.
        drafted: tokens of the transcript that are known from drafts, of `said` in all.
        sizes: how many conversations write at once.
        steps: how often each size writes a token.
        turns: how often the whole turn is gone through, and each stage of it.
        callers: how many turns end at the same moment, in the worst case.
    """

    history_tokens: int
    turn_tokens: int
    clause_tokens: int
    window_s: float
    said: int
    drafted: int
    context_tokens: int
    sizes: tuple[int, ...]
    steps: int
    turns: int
    callers: tuple[int, ...]


PRODUCTION = Scenario(700, 30, 12, 12.0, 14, 12, 2048, (1, 2, 4, 8, 16, 32), 100, 50, (1, 8))
TINY = Scenario(120, 30, 4, 2.0, 6, 4, 320, (1, 2, 4), 5, 5, (1, 2))


@dataclass(frozen=True, slots=True)
class Took:
    """Wall clock, and the device's own clock from the first kernel to the last; None on a CPU."""

    wall_s: float
    device_s: float | None


@dataclass(frozen=True, slots=True)
class Row:
    """A measurement.

    Attributes:
        group: `stage`, `decode`, `prompt` or `turn`.
        profile: whose language model took part, if any.
        device_ms: the median by CUDA events; None on a CPU, and where several threads share the device.
        work: what it had to move and to do at least; None of a whole turn.
        memory_gb: the most that torch has held on the device until then.
    """

    group: str
    what: str
    profile: str
    conversations: int
    n: int
    median_ms: float
    p95_ms: float
    device_ms: float | None
    work: Work | None
    memory_gb: float | None

    @property
    def host_ms(self) -> float:
        """What the device waits for: Python, and the way there and back."""
        return 0.0 if self.device_ms is None else max(0.0, self.median_ms - self.device_ms)


class Stopwatch:
    """Times work on one device."""

    def __init__(self, device: Device) -> None:
        self.device = device

    def time(self, work: Callable[[], _T]) -> tuple[_T, Took]:
        """What `work` returns, and how long it took until the device was done with it."""
        if self.device != "cuda":
            began_s = time.perf_counter()
            result = work()
            return result, Took(time.perf_counter() - began_s, None)
        import torch

        begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        torch.cuda.synchronize()
        began_s = time.perf_counter()
        begin.record()
        result = work()
        end.record()
        torch.cuda.synchronize()
        return result, Took(time.perf_counter() - began_s, begin.elapsed_time(end) / 1e3)

    def row(
        self, group: str, what: str, took: Sequence[Took], work: Work | None, profile: str = "", conversations: int = 1
    ) -> Row:
        walls = [one.wall_s for one in took]
        device = [one.device_s for one in took if one.device_s is not None]
        return Row(
            group,
            what,
            profile,
            conversations,
            len(took),
            1e3 * quantile(walls, 0.5).value,
            1e3 * quantile(walls, 0.95).value,
            1e3 * quantile(device, 0.5).value if device else None,
            work,
            self._memory_gb(),
        )

    def _memory_gb(self) -> float | None:
        if self.device != "cuda":
            return None
        import torch

        return float(torch.cuda.max_memory_allocated()) / 1e9
