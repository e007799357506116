"""What a card can do: by its data sheet, and as measured."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from typing import Any

from benchmarks.gpu.work import Work


@dataclass(frozen=True, slots=True)
class Card:
    """Attributes:
    bandwidth_gb_s: of its memory, 10^9 bytes a second.
    half_tflops: dense products of 16-bit floats, 10^12 operations a second.
    single_tflops: of 32-bit floats, without tensor cores.
    """

    name: str
    bandwidth_gb_s: float
    half_tflops: float
    single_tflops: float

    def least_s(self, work: Work) -> float:
        """The roofline: bytes or operations, whichever takes longer (Williams, Waterman, Patterson, CACM 52, 2009)."""
        tflops = self.half_tflops if work.half else self.single_tflops
        return max(work.bytes / (1e9 * self.bandwidth_gb_s), work.flops / (1e12 * tflops))


# NVIDIA's data sheets: L4 (2023), A100 80 GB SXM (2022), H100 SXM (2023), H200 SXM (2024). They state tensor cores with
# sparsity, which is twice the dense rate that is here.
L4 = Card("L4", 300, 121, 30.3)
KNOWN = (L4, Card("A100", 2039, 312, 19.5), Card("H100", 3350, 989, 67), Card("H200", 4800, 989, 67))


def known(name: str) -> Card | None:
    """The data sheet of a device by the name that its driver gives it; an L40 is no L4."""
    return next((card for card in KNOWN if re.search(rf"\b{card.name}\b", name)), None)


def measured_bandwidth_gb_s(device: str, size: int) -> float:
    """The memory's bandwidth as a kernel sees it: a sum over `size` bytes, or their copy, whichever is faster."""
    import torch

    numbers = torch.ones(size // 4, device=device)
    other = torch.empty_like(numbers)
    read_s = _fastest_s(device, lambda: numbers.sum())
    copied_s = _fastest_s(device, lambda: other.copy_(numbers))
    return max(size / read_s, 2 * size / copied_s) / 1e9


def measured_half_tflops(device: str, width: int) -> float:
    """Of a product of two square matrices of `width`, bfloat16."""
    import torch

    matrix = torch.ones((width, width), dtype=torch.bfloat16, device=device)
    return 2 * width**3 / _fastest_s(device, lambda: matrix @ matrix) / 1e12


def _fastest_s(device: str, work: Any) -> float:
    import torch

    def wait() -> None:
        if device == "cuda":
            torch.cuda.synchronize()

    took_s = []
    for _ in range(10):
        wait()
        began_s = time.perf_counter()
        work()
        wait()
        took_s.append(time.perf_counter() - began_s)
    return min(took_s)
