"""What a process takes of the machine."""

from __future__ import annotations

import psutil


def processor_s(process: psutil.Process) -> float:
    """The processor time that it has taken so far, in seconds."""
    times = process.cpu_times()
    return float(times.user + times.system)


def memory_mb(process: psutil.Process) -> float:
    """What it holds in memory, in MB of 2^20 bytes."""
    return float(process.memory_info().rss) / 2**20
