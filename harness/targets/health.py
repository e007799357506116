"""What a server under test says of itself at /health."""

from __future__ import annotations

import asyncio
import http.client
import json
import urllib.error
import urllib.request

from client.connection import split_url

_TIMEOUT_S = 5.0
_LARGEST_ANSWER = 64 * 1024


def health_url(url: str) -> str:
    """The /health beside a websocket address."""
    parts = split_url(url)
    return parts._replace(scheme="https" if parts.scheme == "wss" else "http", path="/health", query="").geturl()


async def read_health(url: str, token: str | None) -> dict[str, str]:
    """The fields of /health's JSON as text, nested ones joined by dots; empty where there is none.

    A server need not have one (the seed's answers `Ok`), so nothing here is an error.

    Args:
        url: of the server's websocket.
        token: sent as `Authorization: Bearer`.
    """
    try:
        return _flatten(json.loads(await asyncio.to_thread(_get, health_url(url), token)))
    except (OSError, http.client.HTTPException, ValueError, RecursionError):
        return {}


def _get(url: str, token: str | None) -> bytes:
    request = urllib.request.Request(url)  # noqa: S310 - http or https, by health_url
    if token:
        request.add_header("Authorization", f"Bearer {token}")
    with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as answer:  # noqa: S310 - see above
        body: bytes = answer.read(_LARGEST_ANSWER)
        return body


def _flatten(value: object, prefix: str = "") -> dict[str, str]:
    if not isinstance(value, dict):
        return {prefix: str(value)} if prefix else {}
    flat: dict[str, str] = {}
    for key, inner in value.items():
        flat |= _flatten(inner, f"{prefix}.{key}" if prefix else str(key))
    return flat
