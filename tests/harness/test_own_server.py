"""Starting a server of our own, with a stand-in for the program."""

from __future__ import annotations

from pathlib import Path

import pytest

from client.connection import UnavailableError
from harness.own_server import own_server

LISTENING = """
import http.server, sys
port = int(sys.argv[sys.argv.index("--port") + 1])
class Handler(http.server.BaseHTTPRequestHandler):
    ready = False
    def do_GET(self):
        self.send_response(200 if Handler.ready else 503)
        self.end_headers()
        self.wfile.write(b"loading: whisper")
        Handler.ready = True
http.server.HTTPServer(("127.0.0.1", port), Handler).serve_forever()
"""


@pytest.mark.asyncio
async def test_it_is_waited_for_and_stopped(tmp_path: Path) -> None:
    progress: list[str] = []
    async with own_server(tmp_path / "server.log", on_progress=progress.append, program=("-c", LISTENING)) as url:
        assert url.startswith("ws://127.0.0.1:")
    assert progress[-1] == "the server is loading: whisper"


@pytest.mark.asyncio
async def test_one_that_ends_by_itself_says_why(tmp_path: Path) -> None:
    program = ("-c", "import sys; print('no weights'); sys.exit(4)")
    with pytest.raises(UnavailableError, match="ended with exit code 4: no weights"):
        async with own_server(tmp_path / "server.log", on_progress=lambda _what: None, program=program):
            pass
