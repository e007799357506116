"""Waiting until an endpoint answers, by asking again and again: the service tells nobody of its own accord."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from deploy.endpoints import Endpoint, Endpoints, ServiceError
from harness.targets.health import ask_health

ASK_EVERY_S = 10.0
_FAILED = ("failed", "updateFailed")


class NotUpError(RuntimeError):
    """An endpoint does not come up; the message says how far it came, and what to do."""


class Telling(Protocol):
    """What is told of a work of minutes while it is under way."""

    def say(self, line: str) -> None:
        """Something that happened, worth keeping."""

    def waiting(self, what: str, seconds: float) -> None:
        """What is waited for, and for how long by now; the next replaces it."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait, and by which clock.

    Attributes:
        limit_s: seconds until an endpoint must answer. An image of gigabytes is pulled in minutes, and no machine may
            be free.
    """

    limit_s: float = 2700.0
    now: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep


def wait_until_up(endpoints: Endpoints, name: str, token: str, patience: Patience, telling: Telling) -> Endpoint:
    """Wait until the service says that it runs and its own /health says so too; wakes it if it is asleep.

    Raises:
        NotUpError: it failed, or it took too long.
        ServiceError: the service refuses to say how it is, three times in a row.
    """
    started = patience.now()
    health = "nothing yet"
    unanswered = 0
    resumed = False
    while (waited_s := patience.now() - started) <= patience.limit_s:
        try:
            endpoint = endpoints.get(name)
            if endpoint.state == "paused" and not resumed:
                endpoint, resumed = endpoints.resume(name), True
            unanswered = 0
        except ServiceError as error:
            unanswered += 1
            if unanswered == 3 or error.status in (401, 403, 404):
                raise
            patience.sleep(ASK_EVERY_S)
            continue
        if endpoint.state in _FAILED:
            raise NotUpError(
                f"{name} is {endpoint.state}: {endpoint.message or 'the service does not say why'}; its log is at "
                f"https://endpoints.huggingface.co/{endpoints.namespace}/endpoints/{name}/logs"
            )
        # A request is what wakes one that is scaled to zero.
        if endpoint.state in ("running", "scaledToZero") and endpoint.url:
            status, said = asyncio.run(ask_health(endpoint.url, token))
            if status == 200 and endpoint.state == "running":
                return endpoint
            health = f"{status} {said}".strip()[:200] if status else "nothing"
        telling.waiting(
            f"{name} is {endpoint.state}"
            + (f": {endpoint.message}" if endpoint.message else "")
            + (f"; /health answers {health}" if endpoint.state == "running" else ""),
            waited_s,
        )
        patience.sleep(ASK_EVERY_S)
    raise NotUpError(
        f"{name} did not answer within {patience.limit_s:.0f} s: it is {endpoint.state}"
        f"{f' ({endpoint.message})' if endpoint.message else ''}, and its /health answers {health}; its log is at "
        f"https://endpoints.huggingface.co/{endpoints.namespace}/endpoints/{name}/logs"
    )
