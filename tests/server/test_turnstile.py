"""Those who send faster than anybody speaks wait for one another, and nobody else does."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from websockets.asyncio.client import connect

from harness.virtual_time import run
from server.turnstile import Turnstile


async def waited(running: Any, monkeypatch: pytest.MonkeyPatch, path: str, messages: list[bytes | str]) -> int:
    """How often whoever sends these had to wait at the turnstile."""
    turns = 0

    async def turn(turnstile: Turnstile, size: int) -> None:
        nonlocal turns
        turns += 1

    monkeypatch.setattr(Turnstile, "turn", turn)
    async with running() as server, connect(f"ws://127.0.0.1:{server.port}{path}", max_queue=None) as websocket:
        for message in messages:
            await websocket.send(message)
        await (await websocket.ping())
        await websocket.close()
        while server.sessions:
            await asyncio.sleep(0.01)
    return turns


UPDATE = '{"type": "session.update", "session": {}}'
SECOND = bytes(2 * 16_000)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("path", "messages", "waits"),
    [
        ("/ws", [SECOND] * 2, 0),
        ("/ws", [SECOND] * 10, 8),
        ("/ws", [b""] * 700, 0),
        ("/ws", [b""] * 1_000, 200),
        ("/v1/realtime", [UPDATE] * 30, 0),
        ("/v1/realtime", [UPDATE] * 50, 10),
    ],
    ids=["some audio", "much audio", "some frames", "many frames", "some events", "many events"],
)
async def test_who_is_ahead_of_the_clock_waits_for_others_who_are(
    running: Any, monkeypatch: pytest.MonkeyPatch, path: str, messages: list[bytes | str], waits: int
) -> None:
    found = await waited(running, monkeypatch, path, messages)
    assert (found == 0) if waits == 0 else (found > 0)


def test_they_go_through_one_by_one_and_leave_the_loop_to_others() -> None:
    async def go_through() -> tuple[list[str], float]:
        turnstile, order = Turnstile(), []

        async def serve(name: str) -> None:
            for _ in range(3):
                order.append(name)
                await turnstile.turn(20_000)

        async with asyncio.TaskGroup() as tasks:
            for name in "abc":
                tasks.create_task(serve(name))
        return order, asyncio.get_running_loop().time()

    order, lasted_s = run(go_through())
    assert order == [*"abc" * 3]
    assert lasted_s == pytest.approx(9 * 0.005)
