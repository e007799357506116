"""Opening a websocket to a server that may be loading, closed, guarded or not there at all, and saying which."""

from __future__ import annotations

import asyncio
import ipaddress
import ssl
from collections.abc import Callable
from urllib.parse import SplitResult, urlsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus

from client.backoff import PASSING_CODES, PASSING_STATUSES, asked_pause_s
from client.events import Disconnected

OPEN_TIMEOUT_S = 10.0
CLOSE_TIMEOUT_S = 2.0
LARGEST_MESSAGE = 16 * 2**20
"""Bytes. A Realtime delta carries a few seconds of audio at most; more than this is not speech."""

_NORMAL_CLOSURE = 1000
_CLOSE_CODES = {
    1001: "the server is leaving, or the session has lasted as long as it may",
    1002: "the server takes what it was sent for a breach of the websocket protocol",
    1003: "the server does not take this kind of message",
    1007: "the server could not read what it was sent",
    1008: "the server does not allow it",
    1009: "a message was too big for the server",
    1011: "the server failed",
    1012: "the server restarts",
    1013: "the server is overloaded",
    1014: "the gateway got nothing from the server",
}


class UnavailableError(ConnectionError):
    """The server cannot be reached, is not ready, or refused; the message says why and what to do.

    Attributes:
        passing: it may be otherwise soon.
        retry_after_s: for how long the server asks to be left alone; None where it does not.
    """

    def __init__(self, message: str, *, passing: bool = False, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.passing = passing
        self.retry_after_s = retry_after_s


class DisconnectedError(ConnectionError):
    """The connection is closed, so nothing more can be sent."""


def say_nothing(_progress: str) -> None:
    """The progress of a wait that nobody watches."""


async def open_websocket(
    url: str,
    *,
    token: str | None = None,
    wait_s: float = 0.0,
    on_wait: Callable[[str], None] = say_nothing,
    headers: dict[str, str] | None = None,
) -> ClientConnection:
    """Connect, waiting up to `wait_s` seconds while the server answers 503 because it is still loading.

    Args:
        url: ws:// or wss://, as `split_url` gives it.
        token: sent as `Authorization: Bearer`.
        wait_s: for how long a 503 is asked again, at the server's own `Retry-After`.
        on_wait: told once an attempt, in words fit for a progress line.
        headers: sent with the upgrade besides.

    Raises:
        UnavailableError: no connection could be had.
    """
    sent = dict(headers or {})
    if token:
        sent["Authorization"] = f"Bearer {token}"
    loop = asyncio.get_running_loop()
    give_up_at = loop.time() + wait_s
    while True:
        try:
            return await connect(
                url,
                additional_headers=sent,
                compression=None,  # speech hardly compresses, and the attempt costs time that would be measured
                max_size=LARGEST_MESSAGE,
                open_timeout=OPEN_TIMEOUT_S,
                close_timeout=CLOSE_TIMEOUT_S,
                proxy=None if _is_loopback(url) else True,
            )
        except InvalidStatus as refusal:
            status = refusal.response.status_code
            asked_s = asked_pause_s(refusal.response.headers.get("Retry-After", ""))
            pause_s = 1.0 if asked_s is None else asked_s
            if status != 503 or loop.time() + pause_s > give_up_at:
                raise UnavailableError(
                    _explain_status(url, refusal, wait_s), passing=status in PASSING_STATUSES, retry_after_s=asked_s
                ) from refusal
            on_wait(f"{url} is still loading; {give_up_at - loop.time():.0f} s left to wait for it")
            await asyncio.sleep(pause_s)
        except (OSError, InvalidHandshake, ValueError, EOFError, ConnectionClosed) as error:
            raise UnavailableError(_explain_error(url, error), passing=_is_passing(error)) from error


def split_url(url: str) -> SplitResult:
    """The parts of a websocket address; http and https are taken for ws and wss.

    Raises:
        UnavailableError: it is not an address.
    """
    remedy = "write it like ws://127.0.0.1:8080/v1/realtime"
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 - parsed, and refused, only when asked for
    except ValueError as error:
        raise UnavailableError(f"{url!r} is not a websocket address ({error}); {remedy}") from None
    scheme = {"http": "ws", "https": "wss"}.get(parts.scheme, parts.scheme)
    if scheme not in ("ws", "wss") or not parts.hostname:
        raise UnavailableError(f"{url!r} is not a websocket address; {remedy}")
    return parts._replace(scheme=scheme)


def disconnection(closed: ConnectionClosed) -> Disconnected | None:
    """Why the server hung up, in words; None where it simply said goodbye."""
    frame = closed.rcvd
    if frame is None:
        return Disconnected(
            "the connection broke without a close frame: the server process or the network between died", again=True
        )
    if frame.code == _NORMAL_CLOSURE:
        return None
    why = frame.reason or _CLOSE_CODES.get(frame.code, "no reason given")
    return Disconnected(
        f"the server closed the connection with code {frame.code}: {why}", again=frame.code in PASSING_CODES
    )


def explain_close(closed: ConnectionClosed) -> str:
    """The same for whoever still had something to say."""
    lost = disconnection(closed)
    return "the server closed the connection" if lost is None else lost.reason


def _is_loopback(url: str) -> bool:
    """A proxy meant for the outside must not be asked for one's own machine."""
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _is_passing(error: Exception) -> bool:
    """A server that does not answer may be starting, and the network away; no certificate gets better by itself."""
    if isinstance(error, ssl.SSLError):
        return False
    return isinstance(error, OSError | EOFError | ConnectionClosed) or isinstance(error.__cause__, EOFError)


def _explain_status(url: str, refusal: InvalidStatus, wait_s: float) -> str:
    status = refusal.response.status_code
    said = (refusal.response.body or b"")[:200].decode("utf-8", "replace").strip()
    remedy = {
        401: "it wants a token: put one into the environment variable that --token-env names",
        403: "the token is not accepted: check the environment variable that --token-env names",
        404: "nothing is served at that path: the Realtime protocol is at /v1/realtime, the binary one at /ws",
        503: f"it is still loading or full after {wait_s:.0f} s: wait longer with --wait, or see its /health",
    }.get(status, "see the server's log")
    return f"{url} refused the connection with HTTP {status}{f' ({said})' if said else ''}; {remedy}"


def _explain_error(url: str, error: Exception) -> str:
    if isinstance(error, ConnectionRefusedError):
        return f"nothing listens at {url}; start a server with `s2s serve`, or check host and port"
    if isinstance(error, TimeoutError):
        return f"{url} did not answer within {OPEN_TIMEOUT_S:.0f} s; check the host, and that no firewall is between"
    if isinstance(error, ssl.SSLError):
        return f"no secure connection to {url} ({error}); check its certificate, or use ws:// if it has none"
    return f"cannot connect to {url} ({error or type(error).__name__}); check host, port and path"
