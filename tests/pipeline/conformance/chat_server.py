"""A stand-in for a server of chat completions: a small model, or whatever a test has it do."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

CONTEXT_WORDS = 400


class ChatServer:
    """Attributes:
    requests: as they came, with the path and the headers.
    left: set when a client has gone before its answer was whole.
    written: how many pieces were sent, in all answers.
    closing: set at the end, for an answer that waits until then.
    """

    def __init__(self, answer: Callable[[Handler, dict[str, Any]], None]) -> None:
        self.requests: list[tuple[str, dict[str, str], dict[str, Any]]] = []
        self.left = threading.Event()
        self.written = 0
        self.closing = threading.Event()
        self.answer = answer
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self._http.chat = self  # type: ignore[attr-defined]  # how a handler finds it
        threading.Thread(target=self._http.serve_forever, args=(0.01,), daemon=True).start()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self._http.server_port}/v1"

    def close(self) -> None:
        self.closing.set()
        self._http.shutdown()
        self._http.server_close()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.0"  # an answer ends with its connection

    @property
    def chat(self) -> ChatServer:
        chat: ChatServer = self.server.chat  # type: ignore[attr-defined]  # set by ChatServer
        return chat

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.chat.requests.append((self.path, dict(self.headers), request))
        try:
            self.chat.answer(self, request)
        except OSError:
            self.chat.left.set()

    def refuse(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def begin(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()

    def send(self, text: str) -> None:
        self.wfile.write(text.encode())
        self.wfile.flush()

    def event(self, value: Any) -> None:
        self.send(f"data: {json.dumps(value, ensure_ascii=False)}\n\n")
        self.chat.written += 1

    def delta(self, delta: dict[str, Any], finish: str | None = None) -> None:
        self.event({"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})

    def done(self) -> None:
        self.send("data: [DONE]\n\n")

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name is that of the class above
        """Nothing."""


def small_model(handler: Handler, request: dict[str, Any]) -> None:
    """Repeats the last message word by word, again and again; calls the first tool if it must."""
    said = next(message["content"] for message in reversed(request["messages"]) if message["role"] == "user")
    words = said.split(" ")
    if len(words) > CONTEXT_WORDS:
        handler.refuse(400, json.dumps({"error": {"message": f"the context is {CONTEXT_WORDS} tokens"}}).encode())
        return
    handler.begin()
    usage = {"prompt_tokens": len(words), "completion_tokens": request["max_tokens"]}
    if request.get("tool_choice") == "required":
        name = request["tools"][0]["function"]["name"]
        handler.delta({"tool_calls": [{"index": 0, "id": "c0", "function": {"name": name, "arguments": ""}}]})
        handler.delta({"tool_calls": [{"index": 0, "function": {"arguments": "{}"}}]}, "tool_calls")
    else:
        handler.delta({"role": "assistant", "content": ""})
        for number in range(request["max_tokens"]):
            handler.delta({"content": f" {words[number % len(words)]}" if number else words[0]})
        handler.delta({}, "length")
    handler.event({"choices": [], "usage": usage})
    handler.done()


@contextmanager
def chat_server(answer: Callable[[Handler, dict[str, Any]], None] = small_model) -> Iterator[ChatServer]:
    server = ChatServer(answer)
    try:
        yield server
    finally:
        server.close()
