"""Every target tells the same conversation in the same events."""

from __future__ import annotations

import asyncio
import builtins
from types import ModuleType
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.http11 import Request, Response

from client.connection import UnavailableError
from harness.measures import latency
from harness.replay import replay
from harness.targets import infer_target, open_target
from harness.targets.endpoint import EndpointTarget
from harness.targets.health import ask_health, describe_by_health, health_url
from harness.targets.in_process import InProcessTarget
from harness.targets.realtime import RealtimeTarget
from pipeline.testing import Script, scripted_engine


@pytest.mark.parametrize(
    ("endpoint", "name"),
    [(None, "in-process"), ("ws://h/ws", "endpoint"), ("ws://h/v1/realtime", "realtime"), ("wss://h", "realtime")],
)
def test_the_address_names_the_target(endpoint: str | None, name: str) -> None:
    assert infer_target(endpoint) == name


async def opened(*arguments: Any) -> Any:
    async with open_target(*arguments) as target:
        return target


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("name", "endpoint", "kind"),
    [
        (None, "ws://h/ws", EndpointTarget),
        (None, "ws://h/", RealtimeTarget),
        ("endpoint", "ws://h/other", EndpointTarget),
        ("realtime", "ws://h/ws", RealtimeTarget),
    ],
)
async def test_a_target_is_opened(name: Any, endpoint: str, kind: type) -> None:
    assert isinstance(await opened(name, endpoint), kind)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("name", "endpoint", "why"),
    [
        ("realtime", None, "needs an address"),
        ("in-process", "ws://h/", "has no address"),
        (None, "not an address", "write it like ws://"),
    ],
)
async def test_what_cannot_be_opened_says_why(name: Any, endpoint: str | None, why: str) -> None:
    with pytest.raises(UnavailableError, match=why):
        await opened(name, endpoint)


@pytest.mark.asyncio
async def test_a_missing_extra_names_its_install_line(monkeypatch: pytest.MonkeyPatch) -> None:
    import_module = builtins.__import__

    def without_engines(name: str, *rest: Any) -> ModuleType:
        if name == "harness.targets.in_process":
            raise ModuleNotFoundError("No module named 'onnxruntime'")
        return import_module(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without_engines)
    with pytest.raises(UnavailableError, match=r"pip install 's2s-gate\[server\]'"):
        await opened(None, None)


def test_in_process_a_turn_is_heard_answered_and_traced(make_clip) -> None:
    async def turn() -> Any:
        engine = scripted_engine(Script(heard=["hello"], reply=lambda messages: "Hi there."))
        try:
            target = InProcessTarget(engine)
            return await replay(make_clip(seconds=1.0, speech_end_s=1.0), target), await target.describe()
        finally:
            await engine.aclose()

    recording, said = asyncio.run(turn())
    assert (recording.heard, recording.spoken, recording.error) == ("hello", "Hi there.", None)
    assert latency.outcome(recording) in ("answered", "invalid")
    assert recording.trace.keys() >= {"pause_s", "committed_s", "transcript_s", "first_sample_s"}
    assert (said["profile"], said["lm.ko"]) == ("embedded", "echo")


@pytest.mark.asyncio
async def test_a_loading_server_is_told_from_one_that_is_not_there() -> None:
    def loading(connection: ServerConnection, _request: Request) -> Response:
        return connection.respond(503, "loading: whisper\n")  # type: ignore[arg-type]  # an int is an HTTPStatus here

    async with serve(hang_up, "127.0.0.1", 0, process_request=loading) as listening:
        url = f"ws://127.0.0.1:{next(iter(listening.sockets)).getsockname()[1]}/v1/realtime?model=x"
        assert await ask_health(url) == (503, "loading: whisper")
    assert await ask_health(url) == (0, "")
    assert await describe_by_health(url, None) == {}


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ('{"profile": "l4", "lm": {"en": "qwen"}}', {"profile": "l4", "lm.en": "qwen"}),
        ("Ok", {}),
        ("[1]", {}),
        ("[" * 5000, {}),
    ],
)
async def test_what_a_server_says_of_itself(body: str, fields: dict[str, str]) -> None:
    seen: list[Request] = []

    def answer(connection: ServerConnection, request: Request) -> Response:
        seen.append(request)
        return connection.respond(200, body)  # type: ignore[arg-type]  # an int is an HTTPStatus here

    async with serve(hang_up, "127.0.0.1", 0, process_request=answer) as listening:
        url = f"ws://127.0.0.1:{next(iter(listening.sockets)).getsockname()[1]}/ws"
        assert await describe_by_health(url, "key") == fields
    assert seen[0].path == "/health"
    assert seen[0].headers["Authorization"] == "Bearer key"


def test_health_lies_beside_the_websocket() -> None:
    assert health_url("wss://h:1/v1/realtime?model=m") == "https://h:1/health"


async def hang_up(_websocket: ServerConnection) -> None:
    """Accept and leave."""
