"""The page at `/`: talk to this server from a browser.

Plain files, sent as they lie here; nothing is built, and nothing is loaded from elsewhere.
"""

from __future__ import annotations

from http import HTTPStatus
from importlib.resources import files

from websockets.datastructures import Headers
from websockets.http11 import Response

_CONTENT_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
# Scripts, styles and connections of this host alone, nothing inline, no frame around it; the microphone for it alone.
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Permissions-Policy": "microphone=(self)",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    # Asked for anew each time: the page is of the version of the server that it talks to.
    "Cache-Control": "no-cache",
}


def page_response(path: str, accept: str) -> Response | None:
    """The answer where a path is of the page: `/` for whoever takes HTML, and below `/page/` the files it is made of.

    None where it is not; `/` is then answered as the original container does.
    """
    name = "index.html" if path == "/" and "text/html" in accept else path.removeprefix("/page/")
    file = _FILES.get(name)
    if file is None:
        return None
    content_type, body = file
    headers = Headers(
        {"Content-Type": content_type, "Content-Length": str(len(body)), "Connection": "close", **_HEADERS}
    )
    return Response(HTTPStatus.OK, HTTPStatus.OK.phrase, headers, body)


def _read_files() -> dict[str, tuple[str, bytes]]:
    """Content type and bytes, by name."""
    return {
        file.name: (_CONTENT_TYPES[suffix], file.read_bytes())
        for file in files(__name__).iterdir()
        if (suffix := file.name[file.name.rfind(".") :]) in _CONTENT_TYPES
    }


_FILES = _read_files()
