"""A server under test that speaks the OpenAI Realtime protocol."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

from client.connection import say_nothing
from client.realtime import RATE_HZ, RealtimeClient
from harness.targets.base import Session
from harness.targets.health import describe_by_health


class RealtimeTarget:
    """Args: see `open_target`."""

    name = "realtime"
    input_rate_hz = RATE_HZ
    output_rate_hz = RATE_HZ

    def __init__(
        self, url: str, *, token: str | None, wait_s: float, on_wait: Callable[[str], None] = say_nothing
    ) -> None:
        self._url = url
        self._token = token
        self._wait_s = wait_s
        self._on_wait = on_wait

    def connect(self, language: str) -> AbstractAsyncContextManager[Session]:
        return RealtimeClient(
            self._url, language=language, token=self._token, wait_s=self._wait_s, on_wait=self._on_wait
        )

    async def describe(self) -> dict[str, str]:
        return await describe_by_health(self._url, self._token)
