"""The stand-in in place of the service, and a clock that nobody waits for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from huggingface_hub import constants

from deploy.endpoints import Endpoints
from deploy.waiting import Patience
from tests.deploy.stand_in import TOKEN, Service, serving


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    """The service that huggingface_hub talks to during the test."""
    service = Service()
    with serving(service) as url:
        monkeypatch.setattr(constants, "INFERENCE_ENDPOINTS_ENDPOINT", url)
        monkeypatch.setattr(constants, "ENDPOINT", url)
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        yield service


@pytest.fixture
def endpoints(service: Service) -> Endpoints:
    return Endpoints(TOKEN)


@dataclass
class Told:
    """What was told while it was waited, and a clock that jumps."""

    lines: list[str] = field(default_factory=list)
    now_s: float = 0.0

    def say(self, line: str) -> None:
        self.lines.append(line)

    def waiting(self, what: str, seconds: float) -> None:
        self.lines.append(f"{what} ({seconds:.0f} s)")

    def patience(self, limit_s: float = 600.0) -> Patience:
        return Patience(limit_s, now=lambda: self.now_s, sleep=self._sleep)

    def _sleep(self, seconds: float) -> None:
        self.now_s += seconds


@pytest.fixture
def told() -> Told:
    return Told()


@dataclass
class ScriptedGate:
    """A gate that gives what it was told to, and remembers what it was asked."""

    code: int | BaseException = 0
    asked: list[tuple[str, str | None]] = field(default_factory=list)

    def __call__(self, url: str, token: str | None, folder: Path) -> int:
        self.asked.append((url, token))
        if isinstance(self.code, BaseException):
            raise self.code
        return self.code
