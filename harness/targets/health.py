"""What a server under test says of itself at /health."""

from __future__ import annotations

import asyncio
import http.client
import json
import urllib.error
import urllib.request
from typing import IO

from client.connection import split_url

_TIMEOUT_S = 5.0
_LARGEST_ANSWER = 64 * 1024


def health_url(url: str) -> str:
    """The /health beside a websocket address."""
    parts = split_url(url)
    return parts._replace(scheme="https" if parts.scheme == "wss" else "http", path="/health", query="").geturl()


async def ask_health(url: str, token: str | None = None) -> tuple[int, str]:
    """The status and body of /health: 200 when the server is ready, 0 and nothing where nothing answers.

    Args:
        url: of the server's websocket.
        token: sent as `Authorization: Bearer`.
    """
    try:
        return await asyncio.to_thread(_get, health_url(url), token)
    except (OSError, http.client.HTTPException):
        return 0, ""


async def describe_by_health(url: str, token: str | None) -> dict[str, str]:
    """The fields of /health's JSON as text, nested ones joined by dots; empty where there is none."""
    _, body = await ask_health(url, token)
    try:
        return _flatten(json.loads(body))
    except (ValueError, RecursionError):
        return {}


def _get(url: str, token: str | None) -> tuple[int, str]:
    request = urllib.request.Request(url, headers={"Accept": "application/json"})  # noqa: S310 - http(s), by health_url
    if token:
        request.add_header("Authorization", f"Bearer {token}")
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as answer:  # noqa: S310 - see above
            return answer.status, _read(answer)
    except urllib.error.HTTPError as refusal:
        with refusal:
            return refusal.code, _read(refusal)


def _read(answer: IO[bytes]) -> str:
    return answer.read(_LARGEST_ANSWER).decode("utf-8", "replace").strip()


def _flatten(value: object, prefix: str = "") -> dict[str, str]:
    if not isinstance(value, dict):
        return {prefix: str(value)} if prefix else {}
    flat: dict[str, str] = {}
    for key, inner in value.items():
        flat |= _flatten(inner, f"{prefix}.{key}" if prefix else str(key))
    return flat
