"""What HTTP requests ask for, and answers other than plain text."""

from __future__ import annotations

import json
from collections.abc import Mapping
from http import HTTPStatus

from websockets.asyncio.server import ServerConnection
from websockets.datastructures import Headers
from websockets.http11 import Response


def accepted(headers: Headers) -> str:
    """The content types that a request asks for, which may be listed in several headers of the name."""
    return ", ".join(headers.get_all("Accept"))


def respond(connection: ServerConnection, status: HTTPStatus, body: str, content_type: str) -> Response:
    response = connection.respond(status, body)
    del response.headers["Content-Type"]
    response.headers["Content-Type"] = content_type
    return response


def respond_json(connection: ServerConnection, status: HTTPStatus, told: Mapping[str, object]) -> Response:
    return respond(connection, status, json.dumps(told), "application/json")
