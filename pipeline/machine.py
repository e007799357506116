"""What this machine has: processors, memory, a GPU."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from pipeline.capacity import cores

_GB = 1e9
_MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Gpu:
    name: str
    total_gb: float
    free_gb: float


@dataclass(frozen=True, slots=True)
class Machine:
    """Memory in GB of 10^9 bytes.

    Attributes:
        gpu: the first one, as torch sees it where that is installed, else as the driver does; None without one.
        no_gpu: why there is none.
    """

    cores: float
    memory_gb: float
    gpu: Gpu | None
    no_gpu: str = ""

    @classmethod
    def look(cls) -> Machine:
        gpu = _by_torch() if importlib.util.find_spec("torch") else _by_driver()
        return cls(cores(), _available_gb(), *((gpu, "") if isinstance(gpu, Gpu) else (None, gpu)))


def _by_torch() -> Gpu | str:
    """The GPU, or why there is none."""
    import torch

    if torch.version.cuda is None:
        return f"torch {torch.__version__} is built without CUDA"
    if not torch.cuda.is_available():
        return f"torch sees no GPU: is there one, with a driver for CUDA {torch.version.cuda} or later?"
    free, total = torch.cuda.mem_get_info(0)
    return Gpu(torch.cuda.get_device_name(0), total / _GB, free / _GB)


def _by_driver() -> Gpu | str:
    program = shutil.which("nvidia-smi")
    if program is None:
        return "no NVIDIA driver (nvidia-smi is not on PATH)"
    query = [program, "--query-gpu=name,memory.total,memory.free", "--format=csv,noheader,nounits"]
    try:
        told = subprocess.run(query, capture_output=True, text=True, timeout=20, check=True)  # noqa: S603 - a fixed query
        name, total, free = told.stdout.splitlines()[0].rsplit(",", 2)
        return Gpu(name.strip(), int(total) * _MIB / _GB, int(free) * _MIB / _GB)
    except (OSError, subprocess.SubprocessError, ValueError, IndexError) as error:
        return f"nvidia-smi does not tell of a GPU: {error}"


def _available_gb() -> float:
    """Of the machine, or of the container where that may take less."""
    said = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    available = next(int(line.split()[1]) * 1024 for line in said if line.startswith("MemAvailable"))
    try:
        limit = int(Path("/sys/fs/cgroup/memory.max").read_text(encoding="ascii"))
        used = int(Path("/sys/fs/cgroup/memory.current").read_text(encoding="ascii"))
        available = min(available, limit - used)
    except (OSError, ValueError):
        pass  # no container, or one without limit ("max")
    return available / _GB
