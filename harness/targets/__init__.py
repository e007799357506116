"""The servers the harness knows how to drive: `open_target` picks one.

A server that speaks another protocol is driven by a `Target` of whoever runs it, made of what is exported here:
docs/own-endpoint.md.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Literal, TypeAlias, get_args

from client.connection import DisconnectedError, say_nothing
from client.endpoint import is_endpoint_url
from harness.targets.base import (
    Failed,
    Heard,
    ReplyAudio,
    ReplyEnded,
    ServerEvent,
    Session,
    Spoken,
    Target,
    UnavailableError,
)
from harness.targets.endpoint import EndpointTarget
from harness.targets.realtime import RealtimeTarget

__all__ = [
    "TARGET_NAMES",
    "DisconnectedError",
    "Failed",
    "Heard",
    "ReplyAudio",
    "ReplyEnded",
    "ServerEvent",
    "Session",
    "Spoken",
    "Target",
    "TargetName",
    "UnavailableError",
    "infer_target",
    "open_target",
]

TargetName: TypeAlias = Literal["in-process", "realtime", "endpoint"]
TARGET_NAMES: tuple[TargetName, ...] = get_args(TargetName)

WAIT_S = 300.0
"""How long a server that is still loading is waited for."""


def infer_target(endpoint: str | None) -> TargetName:
    """Without an address the server is this process; otherwise the path says which protocol.

    Raises:
        UnavailableError: not an address.
    """
    if endpoint is None:
        return "in-process"
    return "endpoint" if is_endpoint_url(endpoint) else "realtime"


@asynccontextmanager
async def open_target(
    name: str | None,
    endpoint: str | None,
    *,
    token: str | None = None,
    on_progress: Callable[[str], None] = say_nothing,
) -> AsyncIterator[Target]:
    """A server under test, for as long as the context lasts.

    Args:
        name: one of `TARGET_NAMES`; inferred from `endpoint` if None.
        endpoint: its address; none for `in-process`.
        token: bearer token.
        on_progress: told what is loaded or waited for, in words fit for a progress line.

    Raises (on entering):
        UnavailableError: it cannot be had: no such target, no address, a wrong one, or the embedded server's packages
            or weights are missing. An address at which nothing listens is found out by `Target.connect`.
    """
    name = name or infer_target(endpoint)
    if name not in TARGET_NAMES:
        raise UnavailableError(f"there is no target {name!r}; choose {', '.join(TARGET_NAMES)}")
    if name == "in-process":
        if endpoint is not None:
            raise UnavailableError(
                f"the in-process target has no address, but {endpoint} was given; leave out one of them"
            )
        try:
            from harness.targets.in_process import load_embedded
        except ImportError as error:
            raise UnavailableError(
                f"the in-process target needs the embedded engines ({error}); `pip install 's2s-gate[server]'` brings"
                " them, or name a running server with --endpoint"
            ) from error
        async with load_embedded(on_progress=on_progress) as target:
            yield target
        return
    if endpoint is None:
        raise UnavailableError(
            f"the {name} target needs an address: give --endpoint, like ws://127.0.0.1:8080/v1/realtime"
        )
    kind = EndpointTarget if name == "endpoint" else RealtimeTarget
    yield kind(endpoint, token=token, wait_s=WAIT_S, on_wait=on_progress)
