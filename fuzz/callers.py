"""Two callers who do anything at all, at a real server with scripted models, and what must hold whatever they do."""

from __future__ import annotations

import asyncio
import base64
import json
import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, TypeAlias
from unittest.mock import patch

import numpy as np
from hypothesis import strategies as st
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from fuzz.wire import WireLoop
from pipeline.engine import Engine
from pipeline.lm.base import Message
from pipeline.testing import Script, scripted_engine
from server.app import Server, ServerSettings
from server.limits import Limits

NAMES = ("ursula", "quentin")
_ALLOWED_CLOSES = {None, 1000, 1001, 1002, 1003, 1007, 1008, 1009}
_NO_PONG = "keepalive ping timeout"
"""Why the library closes, with 1011, whoever has broken off in the midst of a frame, and answers no ping any more."""
_OWN_ID = re.compile(r"\b(?:item|resp|conv|sess|event)_[0-9a-f]{24}\b")
# Few and small, so that they are hit.
_LIMITS = Limits(
    events_at_once=40, events_per_s=5.0, refused_events=10, items=8, items_bytes=4_000, frames_at_once=400,
    event_bytes=20_000, event_parts=500, idle_s=60.0, audio_ahead_s=5.0, waiting_bytes=10_000, frame_bytes=200_000,
)  # fmt: skip  # a table, which is not seen with each entry in a line

Step: TypeAlias = tuple[str, Any]


def _read_back(messages: Sequence[Message]) -> str:
    """A language model that says what it was told."""
    return " ".join(message.text for message in messages[1:])[:300] or "Nothing."


@dataclass
class Caller:
    """Attributes:
    told: every event that came, on any of its connections.
    ids: made by the server, that were told.
    """

    name: str
    path: str
    told: list[dict[str, Any]] = field(default_factory=list)
    ids: set[str] = field(default_factory=set)
    closes: list[int | None] = field(default_factory=list)
    _websocket: ClientConnection | None = None
    _reading: asyncio.Task[None] | None = None

    async def call(self) -> None:
        with suppress(InvalidStatus):
            websocket = await connect(
                f"ws://server{self.path}", proxy=None, compression=None, open_timeout=None, ping_interval=None
            )
            self._websocket = websocket
            self._reading = asyncio.create_task(self._read(websocket))

    async def hang_up(self, *, abruptly: bool) -> None:
        if self._websocket is None or self._reading is None:
            return
        if abruptly:
            self._websocket.transport.abort()
        else:
            await self._websocket.close()
        await self._reading
        self._websocket = None

    async def do(self, step: Step) -> None:
        what, value = step
        if what == "wait":
            await asyncio.sleep(value)
        elif what == "leave":
            await self.hang_up(abruptly=value)
            await self.call()
        elif self._websocket is not None:
            with suppress(ConnectionClosed):
                await self._send(self._websocket, what, value)

    async def _send(self, websocket: ClientConnection, what: str, value: Any) -> None:
        if what == "event":
            await websocket.send(json.dumps(self._owned(value)))
        elif what == "message":
            await websocket.send(value)
        elif what == "bytes":
            websocket.transport.write(value)
        else:
            await self._append(websocket, tone=what == "speak", seconds=value)

    async def _append(self, websocket: ClientConnection, *, tone: bool, seconds: float) -> None:
        rate_hz = 16_000 if self.path == "/ws" else 24_000
        samples = np.zeros(round(rate_hz * seconds), "<i2")
        if tone:
            samples = (9_000 * np.sin(np.arange(samples.size) * 0.05)).astype("<i2")
        for start in range(0, samples.size, rate_hz // 10):
            pcm = samples[start : start + rate_hz // 10].tobytes()
            audio = base64.b64encode(pcm).decode()
            message = pcm if self.path == "/ws" else json.dumps({"type": "input_audio_buffer.append", "audio": audio})
            await websocket.send(message)
            await asyncio.sleep(0.1)

    def _owned(self, value: Any) -> Any:
        """With the caller's own name for `NAME`, and for an item one that it was told of."""
        text = json.dumps(value).replace("NAME", self.name)
        for kind in ("item", "resp"):
            known = sorted(each for each in self.ids if each.startswith(kind))
            text = text.replace(f"KNOWN_{kind}", known[-1] if known else "none")
        return json.loads(text)

    async def _read(self, websocket: ClientConnection) -> None:
        try:
            while True:
                message = await websocket.recv()
                if isinstance(message, str):
                    self.told.append(json.loads(message))
                    self.ids |= set(_OWN_ID.findall(message))
        except ConnectionClosed as closed:
            silent = closed.rcvd is not None and closed.rcvd.reason == _NO_PONG
            self.closes.append(None if closed.rcvd is None or silent else closed.rcvd.code)


def run(
    steps: Sequence[tuple[int, Step]],
    *,
    paths: tuple[str, str] = ("/v1/realtime", "/v1/realtime"),
    engine: Callable[[], Engine] = lambda: scripted_engine(Script(reply=_read_back, thinking_s=0.02, speaking_s=0.05)),
    check: Callable[[dict[str, Any]], object] = lambda event: None,
) -> tuple[Caller, Caller]:
    """Have the two callers take their steps, in virtual time, and check what must hold.

    Args:
        steps: whose each is, 0 or 1, and what it is.
        check: of each event that a caller is told; raises what is wrong with it.

    Raises:
        AssertionError: the server failed, kept something, or told one caller what is the other's.
    """
    callers = tuple(Caller(name, path) for name, path in zip(NAMES, paths, strict=True))

    async def load(on_loading: Callable[[str], None]) -> Engine:
        return engine()

    unhandled: list[str] = []

    async def live() -> None:
        asyncio.get_running_loop().set_exception_handler(
            lambda loop, context: unhandled.append(f"{context['message']}: {context.get('exception')!r}")
        )
        async with Server(load, ServerSettings(limits=_LIMITS)) as server:
            await server.ready()
            for caller in callers:
                await caller.call()
            for whose, step in steps:
                await callers[whose].do(step)
            await asyncio.sleep(40.0)
            for caller in callers:
                _has_an_end_for_every_response(caller)
                await caller.hang_up(abruptly=False)
            await asyncio.sleep(10.0)
            assert server.sessions == 0, "a conversation was not freed"
            failures = server.metrics.errors.labels("server_failed")._value.get()
            assert failures == 0, "the server failed; its log says why"
            left = [task for task in asyncio.all_tasks() if "conn_handler" in str(task.get_coro())]
            assert not left, "a connection is still being served"

    # As if the server were slow: nothing is taken apart in one go but a few bytes.
    with (
        patch("server.call.TAKING_S", 0.0),
        patch("server.call.TAKEN_BYTES", 100),
        asyncio.Runner(loop_factory=WireLoop) as runner,
    ):
        runner.run(live())
    assert not unhandled, unhandled
    for caller, other in (callers, callers[::-1]):
        assert set(caller.closes) <= _ALLOWED_CLOSES, f"closed with {caller.closes}"
        assert not caller.ids & other.ids, "an id of the other's was told"
        for event in caller.told:
            assert other.name not in json.dumps(event), f"{caller.name} was told what is {other.name}'s"
            check(event)
    return callers[0], callers[1]


def _has_an_end_for_every_response(caller: Caller) -> None:
    begun = [event["response"]["id"] for event in caller.told if event["type"] == "response.created"]
    ended = [event["response"]["id"] for event in caller.told if event["type"] == "response.done"]
    assert len(set(ended)) == len(ended), "a response ended twice"
    assert set(ended) <= set(begun), "a response ended that had not begun"
    if not caller.closes:
        assert set(ended) == set(begun), "a response has no end"


_IDS = st.sampled_from(["NAME-1", "NAME-2", "NAME-3", "KNOWN_item", "root", "none", "", "x" * 200])
_TEXTS = st.sampled_from(["NAME says this", "NAME.", "", "NAME " * 300, "\u0000\u2028 NAME"])
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**20), 10**20) | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=10,
)
_CONTENT = st.fixed_dictionaries(
    {"type": st.sampled_from(["input_text", "output_text", "output_audio", "input_audio"])},
    optional={"text": _TEXTS, "transcript": _TEXTS},
)
_ITEMS = st.one_of(
    st.fixed_dictionaries(
        {
            "type": st.just("message"),
            "role": st.sampled_from(["user", "assistant", "system"]),
            "content": st.lists(_CONTENT, max_size=3),
        },
        optional={"id": _IDS},
    ),
    st.fixed_dictionaries(
        {"type": st.just("function_call"), "name": _TEXTS, "arguments": _TEXTS, "call_id": _IDS}, optional={"id": _IDS}
    ),
    st.fixed_dictionaries({"type": st.just("function_call_output"), "call_id": _IDS, "output": _TEXTS}),
    st.fixed_dictionaries({"type": st.just("item_reference"), "id": _IDS}),
    _JSON,
)
_FORMATS = st.sampled_from([{"type": "audio/pcm", "rate": 24_000}, {"type": "audio/pcmu"}, {"type": "audio/pcma"}])
_TURNS = st.none() | st.fixed_dictionaries(
    {"type": st.sampled_from(["server_vad", "semantic_vad"])},
    optional={
        "create_response": st.booleans(),
        "interrupt_response": st.booleans(),
        "idle_timeout_ms": st.sampled_from([1_000, 5_000]),
        "silence_duration_ms": st.sampled_from([0, 200, 5_000]),
        "threshold": st.sampled_from([0.0, 0.5, 1.0]),
        "prefix_padding_ms": st.sampled_from([0, 5_000]),
        "eagerness": st.sampled_from(["low", "high"]),
    },
)
_TOOLS = st.lists(st.fixed_dictionaries({"type": st.just("function"), "name": st.sampled_from(["a", "b"])}), max_size=2)
_SESSIONS = st.fixed_dictionaries(
    {},
    optional={
        "instructions": _TEXTS,
        "output_modalities": st.sampled_from([["audio"], ["text"], []]),
        "tools": _TOOLS,
        "tool_choice": st.sampled_from(["auto", "none", "required", {"type": "function", "name": "a"}]),
        "max_output_tokens": st.sampled_from([1, 5, "inf"]),
        "audio": st.fixed_dictionaries(
            {},
            optional={
                "input": st.fixed_dictionaries(
                    {},
                    optional={
                        "format": _FORMATS,
                        "turn_detection": _TURNS,
                        "transcription": st.none() | st.just({"language": "fr"}),
                    },
                ),
                "output": st.fixed_dictionaries(
                    {}, optional={"format": _FORMATS, "speed": st.sampled_from([0.25, 1.5]), "voice": _TEXTS}
                ),
            },
        ),
    },
)
_RESPONSES = st.fixed_dictionaries(
    {},
    optional={
        "conversation": st.sampled_from(["auto", "none"]),
        "input": st.lists(_ITEMS, max_size=3),
        "instructions": _TEXTS,
        "metadata": st.dictionaries(st.text(max_size=5), _TEXTS, max_size=2),
        "output_modalities": st.sampled_from([["audio"], ["text"]]),
        "max_output_tokens": st.sampled_from([1, 5]),
        "tools": _TOOLS,
        "tool_choice": st.just("required"),
    },
)
_EVENTS = st.one_of(
    st.fixed_dictionaries({"type": st.just("session.update"), "session": _SESSIONS}),
    st.fixed_dictionaries(
        {"type": st.just("conversation.item.create"), "item": _ITEMS}, optional={"previous_item_id": _IDS}
    ),
    st.fixed_dictionaries({"type": st.just("response.create")}, optional={"response": _RESPONSES}),
    st.fixed_dictionaries(
        {"type": st.just("response.cancel")}, optional={"response_id": st.sampled_from(["KNOWN_resp", "none"])}
    ),
    st.fixed_dictionaries(
        {"type": st.sampled_from(["conversation.item.retrieve", "conversation.item.delete"]), "item_id": _IDS}
    ),
    st.fixed_dictionaries(
        {
            "type": st.just("conversation.item.truncate"),
            "item_id": _IDS,
            "content_index": st.integers(0, 1),
            "audio_end_ms": st.sampled_from([0, 100, 10**6]),
        }
    ),
    st.sampled_from(
        [
            {"type": f"{buffer}.{do}"}
            for buffer in ("input_audio_buffer", "output_audio_buffer")
            for do in ("commit", "clear")
        ]
    ),
    st.fixed_dictionaries({"type": st.text(max_size=30)}, optional={"event_id": _JSON, "audio": _JSON, "item": _JSON}),
)
_STEPS = st.one_of(
    st.tuples(st.just("event"), _EVENTS),
    st.tuples(st.just("event"), _EVENTS),
    st.tuples(st.sampled_from(["speak", "keep silent"]), st.sampled_from([0.1, 0.7, 1.5])),
    st.tuples(st.just("wait"), st.sampled_from([0.0, 0.05, 0.5, 3.0])),
    st.tuples(st.just("message"), st.text(max_size=200) | st.binary(max_size=200)),
    st.tuples(st.just("bytes"), st.binary(max_size=100)),
    st.tuples(st.just("leave"), st.booleans()),
)
STEPS: st.SearchStrategy[list[tuple[int, Step]]] = st.lists(st.tuples(st.integers(0, 1), _STEPS), max_size=40)
PATHS = st.tuples(*[st.sampled_from(["/v1/realtime", "/v1/realtime", "/ws"])] * 2)
