"""Ending a network of torch in the middle of a run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from pipeline.stopping import Stop


class Stoppable:
    """Looks at a `Stop` before every module of a network that runs. Use from one thread at a time."""

    def __init__(self, network: torch.nn.Module) -> None:
        self._stop: Stop | None = None
        for module in network.modules():
            module.register_forward_pre_hook(self._look)

    @contextmanager
    def by(self, stop: Stop) -> Iterator[None]:
        """What runs of the network inside raises `Stopped` when `stop` is told."""
        stop.check()
        self._stop = stop
        try:
            yield
        finally:
            self._stop = None

    def _look(self, module: torch.nn.Module, inputs: Any) -> None:
        if self._stop is not None:
            self._stop.check()
