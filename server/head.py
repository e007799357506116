"""HEAD, by which load balancers and monitors ask, and which the websocket library does not know.

It is a GET whose answer has no body (RFC 9110, 9.3.2): the library gets to read a GET, and its answer loses the body.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import cast

from websockets.asyncio.server import ServerConnection
from websockets.http11 import Request, Response

_HEAD = b"HEAD "
_GET = b"GET "


class HeadConnection(ServerConnection):
    """Attributes:
    asked_by_head: the request's method is HEAD.
    """

    asked_by_head = False
    _method: bytes | None = b""
    """The beginning of the request, as long as it may become a HEAD."""

    def data_received(self, data: bytes) -> None:
        if self._method is not None:
            data = self._method + data
            if len(data) < len(_HEAD) and _HEAD.startswith(data):
                self._method = data
                return
            self._method = None
            if data.startswith(_HEAD):
                self.asked_by_head = True
                data = _GET + data.removeprefix(_HEAD)
        super().data_received(data)


def finish_response(connection: ServerConnection, _request: Request, response: Response) -> Response:
    """The response as its method asks for it; a HEAD opens no websocket."""
    if cast(HeadConnection, connection).asked_by_head:
        if response.status_code == HTTPStatus.SWITCHING_PROTOCOLS:
            response = connection.respond(HTTPStatus.METHOD_NOT_ALLOWED, "a websocket is opened by GET\n")
            response.headers["Allow"] = "GET"
        response.body = b""
    return response
