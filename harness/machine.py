"""The machine that the harness runs on: what it is, and how fast it was at the time of a run."""

from __future__ import annotations

import hashlib
import os
import platform
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import median

import numpy as np

from harness.results import RunHeader

IDENTITY = ("system", "cores", "processor")
"""Facts by which a machine is the same one. The host's name is not among them: a CI gives a new one each night."""

CALIBRATION = "calibration_ms"
"""How long the calibration loop took, milliseconds: the same work each time, so more of it is the machine's doing."""

_LOOPS = 7
_CPU_INFO = Path("/proc/cpuinfo")


def describe() -> dict[str, str]:
    """Facts of this machine as text, and its speed now; takes about half a second."""
    return {
        "system": f"{platform.system()} {platform.machine()}",
        "cores": str(os.cpu_count()),
        "processor": _processor(),
        "python": platform.python_version(),
        CALIBRATION: f"{calibrate():.1f}",
    }


def identity(header: RunHeader) -> str:
    """Eight hexadecimal digits: the same for two runs on what is, as far as is told, the same machine."""
    facts = "\n".join(header.machine.get(fact, "") for fact in IDENTITY)
    return hashlib.sha256(facts.encode()).hexdigest()[:8]


def name(header: RunHeader) -> str:
    """For people: the facts that make up the identity."""
    system, cores, processor = (header.machine.get(fact, "unknown") for fact in IDENTITY)
    return f"{processor}, {cores} cores, {system}"


def calibration_ms(machine: Mapping[str, str]) -> float | None:
    """The speed that a run found its machine at; None where it does not say."""
    try:
        found = float(machine.get(CALIBRATION, ""))
    except ValueError:
        return None
    return found if 0 < found < 1e6 else None


def calibrate() -> float:
    """Milliseconds that the calibration loop takes: the median of 7."""
    return 1_000 * median(calibration_loop(time.perf_counter) for _ in range(_LOOPS))


def calibration_loop(clock: Callable[[], float]) -> float:
    """Seconds by `clock` for a fixed piece of work, half of it the interpreter's and half of it numpy's."""
    samples = np.random.default_rng(0).normal(size=2**15)
    started_s = clock()
    total = 0
    for number in range(200_000):
        total += number * number
    for _ in range(16):
        np.fft.rfft(samples)
    return clock() - started_s


def _processor() -> str:
    """The model's name; Linux keeps it to itself in `platform.processor`."""
    try:
        lines = _CPU_INFO.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    found = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    return found or platform.processor() or "unknown"
