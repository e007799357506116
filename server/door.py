"""Who comes in: origin, token, room. Whoever does not is answered before the upgrade, and told why."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from http import HTTPStatus
from ipaddress import ip_address
from urllib.parse import urlsplit

from websockets.asyncio.server import ServerConnection
from websockets.datastructures import Headers
from websockets.typing import Subprotocol

from server.limits import Limit
from server.tokens import VARIABLE, Tokens

RETRY_AFTER_S = 5

_log = logging.getLogger("server")

REALTIME = Subprotocol("realtime")
_KEY_PREFIX = "openai-insecure-api-key."
"""A browser cannot set headers on a websocket, so the `openai` client for browsers offers its key as a subprotocol."""


class RefusedError(Exception):
    """The answer to whoever does not come in.

    Attributes:
        limit: that was hit, if one was.
    """

    def __init__(
        self, status: HTTPStatus, text: str, headers: Mapping[str, str] | None = None, limit: Limit | None = None
    ) -> None:
        super().__init__(text)
        self.status = status
        self.text = text
        self.headers = dict(headers or {})
        self.limit = limit


class Door:
    """Args: `origins` are the pages of other hosts that may connect, `https://host` or `*`."""

    def __init__(self, tokens: Tokens, origins: Sequence[str] = ()) -> None:
        self._tokens = tokens
        self._origins = {origin.lower().rstrip("/") for origin in origins}

    def log_who_may_come(self, host: str) -> None:
        """At the start, for a server that listens on `host`."""
        if self._tokens:
            _log.info("a token is needed to connect; listed: %d", len(self._tokens))
        elif _is_loopback(host):
            _log.info("whoever is on this machine may connect: there are no tokens")
        else:
            _log.warning("whoever reaches %s may connect: there are no tokens; set %s, or --token-file", host, VARIABLE)

    def check_origin(self, headers: Headers) -> None:
        """A page of another host must not use what a browser can reach.

        Raises:
            RefusedError: 403.
        """
        named = headers.get_all("Origin")
        if not named or "*" in self._origins:
            return  # no browser, or any
        origin = named[0].lower()
        own = bool(host := _host(origin)) and [host] == [host.lower() for host in headers.get_all("Host")]
        if len(named) > 1 or not (own or origin in self._origins):
            raise RefusedError(
                HTTPStatus.FORBIDDEN,
                f"pages of {named[0]!r} may not connect here; the server's --allow-origin lists those that may\n",
            )

    def holder(self, headers: Headers) -> str | None:
        """The name of whoever holds the token of this request; None where no tokens are asked for.

        Raises:
            RefusedError: 401.
        """
        if not self._tokens:
            return None
        shown = _tokens_of(headers)
        name = self._tokens.holder(*shown) if len(shown) == 1 else None
        if name is None:
            why = "this token is no good" if shown else "a token is needed"
            challenge = 'Bearer realm="s2s"' + (', error="invalid_token"' if shown else "")
            raise RefusedError(
                HTTPStatus.UNAUTHORIZED, f"{why}; send `Authorization: Bearer TOKEN`\n", {"WWW-Authenticate": challenge}
            )
        return name


def unavailable(why: str, limit: Limit | None = None) -> RefusedError:
    """503: not now."""
    return RefusedError(HTTPStatus.SERVICE_UNAVAILABLE, why, {"Retry-After": str(RETRY_AFTER_S)}, limit)


def choose_subprotocol(connection: ServerConnection, offered: Sequence[Subprotocol]) -> Subprotocol | None:
    """A browser gives up unless one of those that it offers is chosen; the one with its key is never sent back."""
    return REALTIME if REALTIME in offered else None


def _host(origin: str) -> str:
    try:
        return urlsplit(origin).netloc
    except ValueError:
        return ""


def _tokens_of(headers: Headers) -> set[str]:
    """Every token of a request, in its header or among its subprotocols."""
    shown = set()
    for value in headers.get_all("Authorization"):
        scheme, _, token = value.strip().partition(" ")
        shown.add(token.strip() if scheme.lower() == "bearer" else "")
    for value in headers.get_all("Sec-WebSocket-Protocol"):
        for offered in value.split(","):
            if (offer := offered.strip()).startswith(_KEY_PREFIX):
                shown.add(offer.removeprefix(_KEY_PREFIX))
    return shown


def _is_loopback(host: str) -> bool:
    with suppress(ValueError):
        return ip_address(host).is_loopback
    return host == "localhost"
