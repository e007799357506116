"""A stand-in for the Inference Endpoints service, on loopback: its documented routes, and what it can answer.

The shapes are those of https://api.endpoints.huggingface.cloud/v2, as huggingface_hub 2.4 reads and writes them. What
an endpoint does after a change is scripted: each question about it takes it one state further.
"""

from __future__ import annotations

import copy
import json
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

TOKEN = "hf_thisIsTheSecretOne"  # noqa: S105 - of nobody
NAMESPACE = "me"


@dataclass
class Request:
    method: str
    path: str
    body: dict[str, Any]
    token: str

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


@dataclass
class Service:
    """What the stand-in has and does.

    Attributes:
        states: of an endpoint, one each time that it is asked for; the last stays. A pair has a message.
        refusals: `METHOD /path` to a status and an error that it answers, each once.
        health: what the endpoints' own /health answers, one status each time; the last stays.
        requests: that were seen, those for /health apart.
    """

    states: deque[str | tuple[str, str]] = field(default_factory=lambda: deque(["running"]))
    refusals: dict[str, deque[tuple[int, Any]]] = field(default_factory=dict)
    health: deque[int] = field(default_factory=lambda: deque([200]))
    price: float = 0.8
    quota: int = 2
    endpoints: dict[str, dict[str, Any]] = field(default_factory=dict)
    requests: list[Request] = field(default_factory=list)
    health_tokens: list[str] = field(default_factory=list)
    url: str = ""

    def changes(self) -> list[str]:
        """The requests that changed something, in their order."""
        return [str(request) for request in self.requests if request.method != "GET"]

    def body(self, change: str) -> dict[str, Any]:
        """Of the last request of this kind."""
        return next(request.body for request in reversed(self.requests) if str(request) == change)

    def refuse(self, request: str, status: int, error: Any, times: int = 1) -> None:
        self.refusals.setdefault(request, deque()).extend([(status, error)] * times)

    def has(self, name: str, *, image: str = "me/s2s:1", state: str = "running") -> dict[str, Any]:
        """Put an endpoint there that was there before."""
        self.endpoints[name] = {
            "name": name,
            "type": "authenticated",
            "healthRoute": "/health",
            "provider": {"vendor": "aws", "region": "us-east-1"},
            "compute": {
                "accelerator": "gpu",
                "instanceType": "nvidia-l4",
                "instanceSize": "x1",
                "scaling": {"minReplica": 1, "maxReplica": 2, "scaleToZeroTimeout": None},
            },
            "model": {
                "repository": "me/model",
                "framework": "custom",
                "revision": "main",
                "task": "custom",
                "image": {"custom": {"url": image, "port": 80, "healthRoute": "/health"}},
                "env": {"OLD": "1"},
            },
            "status": self._status(state, ""),
        }
        return self.endpoints[name]

    def answer(self, request: Request) -> tuple[int, Any]:
        if waiting := self.refusals.get(str(request)):
            status, error = waiting.popleft()
            return status, {"error": error} if isinstance(error, str) else error
        parts = request.path.strip("/").split("/")
        match request.method, parts:
            case "GET", ["api", "whoami-v2"]:
                return 200, {"type": "user", "name": NAMESPACE}
            case "GET", ["provider", _]:
                return 200, self._provider()
            case "GET", ["endpoint", _]:
                return 200, {"items": list(self.endpoints.values())}
            case "POST", ["endpoint", _]:
                return self._create(request.body)
            case _, ["endpoint", _, name, *_] if name not in self.endpoints:
                return 404, {"error": f"endpoint {name} not found"}
            case "GET", ["endpoint", _, name]:
                return 200, self._advance(name)
            case "PUT", ["endpoint", _, name]:
                merge(self.endpoints[name], request.body)
                self.endpoints[name]["model"].pop("secrets", None)
                self.endpoints[name]["status"] = self._status("updating", "")
                return 200, self.endpoints[name]
            case "POST", ["endpoint", _, name, ("pause" | "resume" | "scale-to-zero") as what]:
                state = {"pause": "paused", "resume": "initializing", "scale-to-zero": "scaledToZero"}[what]
                self.endpoints[name]["status"] = self._status(state, "")
                return 200, self.endpoints[name]
            case "DELETE", ["endpoint", _, name]:
                del self.endpoints[name]
                return 200, {}
        return 404, {"error": f"no route {request}"}

    def _create(self, body: dict[str, Any]) -> tuple[int, Any]:
        if body["name"] in self.endpoints:
            return 409, {"error": f"an endpoint named {body['name']} exists"}
        made = copy.deepcopy(body)
        made["model"].pop("secrets", None)
        made["healthRoute"] = made["model"]["image"]["custom"]["healthRoute"]
        made["status"] = self._status("pending", "")
        self.endpoints[body["name"]] = made
        return 200, made

    def _advance(self, name: str) -> dict[str, Any]:
        endpoint = self.endpoints[name]
        if endpoint["status"]["state"] not in ("paused", "scaledToZero") and self.changes():
            state = self.states.popleft() if len(self.states) > 1 else self.states[0]
            endpoint["status"] = self._status(*(state if isinstance(state, tuple) else (state, "")))
        return endpoint

    def _status(self, state: str, message: str) -> dict[str, Any]:
        now = "2026-11-25T03:00:00.000Z"
        url = {"url": self.url} if state in ("running", "scaledToZero") else {}
        return {"state": state, "message": message, "createdAt": now, "updatedAt": now, **url}

    def _provider(self) -> dict[str, Any]:
        compute = {
            "id": "aws-us-east-1-nvidia-l4-x1",
            "accelerator": "gpu",
            "instanceType": "nvidia-l4",
            "instanceSize": "x1",
            "architecture": "Nvidia L4",
            "numAccelerators": 1,
            "memoryGb": 30,
            "pricePerHour": self.price,
            "status": "available",
            "quota": {"maxAccelerators": self.quota, "usedAccelerators": 0},
        }
        return {"vendors": [{"name": "aws", "regions": [{"name": "us-east-1", "computes": [compute]}]}]}


def merge(into: dict[str, Any], change: dict[str, Any]) -> None:
    """As the service takes a change: what it does not name stays, but an image is of one kind and is replaced."""
    for key, value in change.items():
        if isinstance(value, dict) and isinstance(into.get(key), dict) and key not in ("image", "env"):
            merge(into[key], value)
        else:
            into[key] = copy.deepcopy(value)


@contextmanager
def serving(service: Service) -> Iterator[str]:
    """The stand-in on a free port; the value is its address."""

    class Handler(BaseHTTPRequestHandler):
        def handle_any(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length) or b"{}")
            token = self.headers.get("Authorization", "").removeprefix("Bearer ")
            if self.path == "/health":
                service.health_tokens.append(token)
                status = service.health.popleft() if len(service.health) > 1 else service.health[0]
                said: Any = {"status": "ready"} if status == 200 else "loading: language model"
            else:
                request = Request(self.command, self.path, body, token)
                status, said = (401, {"error": "no good"}) if token != TOKEN else service.answer(request)
                service.requests.append(request)
            text = (said if isinstance(said, str) else json.dumps(said)).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        do_GET = do_POST = do_PUT = do_DELETE = handle_any  # noqa: N815 - names that http.server looks for

        def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - its name in http.server
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        service.url = f"http://127.0.0.1:{server.server_port}"
        try:
            yield service.url
        finally:
            server.shutdown()
            thread.join()
