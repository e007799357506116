"""Which of the two protocols an address is spoken to in."""

from __future__ import annotations

from collections.abc import Callable

from client import endpoint, realtime
from client.connection import say_nothing
from client.endpoint import EndpointClient
from client.realtime import RealtimeClient


def protocol_rate_hz(url: str) -> int:
    """The rate of the audio, both ways, of the protocol that the URL's path names.

    Raises:
        UnavailableError: it is no address.
    """
    return endpoint.RATE_HZ if endpoint.is_endpoint_url(url) else realtime.RATE_HZ


def open_client(
    url: str,
    *,
    language: str = "auto",
    token: str | None = None,
    wait_s: float = 0.0,
    on_wait: Callable[[str], None] = say_nothing,
) -> EndpointClient | RealtimeClient:
    """A client of the protocol that the URL's path names: /ws is the binary one, any other the Realtime one.

    Entering raises `client.connection.UnavailableError`.
    """
    client = EndpointClient if endpoint.is_endpoint_url(url) else RealtimeClient
    return client(url, language=language, token=token, wait_s=wait_s, on_wait=on_wait)
