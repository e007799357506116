"""Weights in 8 bits, for the integer kernels of onnxruntime."""

from __future__ import annotations

import platform
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pipeline.audio import FloatArray


def signed_steps(weights: FloatArray) -> tuple[npt.NDArray[np.int8], FloatArray]:
    """Weights of shape (out, ...) as whole steps around zero, and the step of each output, shape (out,)."""
    largest = np.abs(weights).reshape(len(weights), -1).max(axis=1)
    step = np.maximum(largest / most_steps(), np.float32(1e-12)).astype(np.float32)
    return np.rint(weights / step.reshape(-1, *[1] * (weights.ndim - 1))).astype(np.int8), step


@cache
def most_steps() -> int:
    """127; without VNNI, on x86, 63, because there two products of 8 bits are added in 16 bits, which overflow."""
    if platform.machine() not in ("x86_64", "AMD64"):
        return 127
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace")
    except OSError:
        return 63
    return 127 if "vnni" in flags else 63
