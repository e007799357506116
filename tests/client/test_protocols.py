"""The path of an address picks the protocol."""

from __future__ import annotations

import pytest

from client.connection import UnavailableError
from client.endpoint import EndpointClient
from client.protocols import open_client, protocol_rate_hz
from client.realtime import RealtimeClient


def test_the_path_of_the_address_picks_the_protocol() -> None:
    assert isinstance(open_client("ws://127.0.0.1:8080/ws"), EndpointClient)
    assert isinstance(open_client("ws://127.0.0.1:8080"), RealtimeClient)
    assert protocol_rate_hz("ws://127.0.0.1:8080/ws") == 16_000
    assert protocol_rate_hz("ws://127.0.0.1:8080/v1/realtime") == 24_000


def test_what_is_no_address_has_none() -> None:
    with pytest.raises(UnavailableError, match="write it like ws://"):
        protocol_rate_hz("nonsense")
