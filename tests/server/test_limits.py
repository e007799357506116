"""Every limit: who hits it is told, and /metrics counts it by its name."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from pipeline.capacity import Capacity
from pipeline.engine import Engine
from pipeline.profiles import load_profile
from pipeline.testing import Script, scripted_engine
from server.app import Server, ServerSettings
from server.limits import Limit, LimitError, Limits, TooFastError
from server.pace import Pace
from server.tokens import Tokens

PROFILE = load_profile("embedded")
TURNS_OF_TEN = replace(PROFILE, turns=replace(PROFILE.turns, longest_turn_s=10.0))


async def hits(server: Server) -> dict[str, int]:
    """The limits that were hit, and how often."""
    async with httpx.AsyncClient() as client:
        text = (await client.get(f"http://127.0.0.1:{server.port}/metrics")).text
    counted = [line.split() for line in text.splitlines() if line.startswith("s2s_limits_hit_total")]
    found = {name.split('"')[1]: int(float(count)) for name, count in counted}
    assert set(found) == set(Limit)
    return {name: count for name, count in found.items() if count}


async def counted(server: Server, limit: str) -> None:
    """Wait until this limit alone was hit, once: a client may hear of it first."""
    async with asyncio.timeout(20):
        while not (found := await hits(server)):
            await asyncio.sleep(0.01)
    assert found == {limit: 1}


async def refusal(server: Server, path: str, token: str = "") -> InvalidStatus:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    with pytest.raises(InvalidStatus) as caught:
        await connect(f"ws://127.0.0.1:{server.port}{path}", additional_headers=headers, proxy=None).__aenter__()
    return caught.value


async def end_of(websocket: ClientConnection) -> tuple[int | None, str, list[Any]]:
    """Close code and reason, and the Realtime errors before them."""
    errors = []
    with pytest.raises(ConnectionClosed) as closed:
        async with asyncio.timeout(20):
            while True:
                message = json.loads(await websocket.recv())
                errors += [message["error"]] if message["type"] == "error" else []
    received = closed.value.rcvd
    return (received.code, received.reason, errors) if received else (None, "", errors)


@pytest.mark.asyncio
async def test_sessions(running: Any, talk: Any) -> None:
    async with running(limits=Limits(sessions=1)) as server, talk(server):
        for path in ("/v1/realtime", "/ws"):
            refused = (await refusal(server, path)).response
            assert refused.status_code == 503
            assert int(refused.headers["Retry-After"]) > 0
            assert b"all 1 sessions" in refused.body
        assert await hits(server) == {"sessions": 2}


@pytest.mark.asyncio
async def test_sessions_are_as_many_as_the_machine_was_measured_to_carry(talk: Any) -> None:
    async def load(on_loading: Callable[[str], None]) -> Engine:
        return scripted_engine()

    async def measure(engine: Engine) -> Capacity:
        return Capacity(2, "text-to-speech", {"text-to-speech": 0.2})

    async with Server(load, ServerSettings(port=0), measure=measure) as server:
        await server.ready()
        async with talk(server), talk(server):
            assert b"all 2 sessions" in (await refusal(server, "/ws")).response.body
    async with Server(load, ServerSettings(port=0, limits=Limits(sessions=1)), measure=measure) as server:
        await server.ready()
        async with talk(server):
            assert b"all 1 sessions" in (await refusal(server, "/ws")).response.body


@pytest.mark.asyncio
async def test_sessions_per_token(running: Any, talk: Any) -> None:
    ada, bob = ({"Authorization": f"Bearer {name}-secret"} for name in ("ada", "bob"))
    async with running(limits=Limits(sessions_per_token=1), tokens=Tokens("ada-secret,bob-secret")) as server:
        async with talk(server, additional_headers=ada):
            refused = (await refusal(server, "/ws", "ada-secret")).response
            assert refused.status_code == 503
            assert "Retry-After" in refused.headers
            assert b"of this token" in refused.body
            async with talk(server, additional_headers=bob):
                pass
        while server.sessions:
            await asyncio.sleep(0.01)
        async with talk(server, additional_headers=ada):
            pass


@pytest.mark.asyncio
async def test_handshake(running: Any) -> None:
    async with running(limits=Limits(handshake_s=0.05)) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(b"GET /ws HTTP/1.1\r\n")
        assert await reader.read() == b""
        writer.close()
        assert await hits(server) == {"handshake": 1}


@pytest.mark.asyncio
@pytest.mark.parametrize("path", ["/v1/realtime", "/ws"])
async def test_frame(running: Any, path: str) -> None:
    async with running(limits=Limits(frame_bytes=1_000)) as server:
        async with connect(f"ws://127.0.0.1:{server.port}{path}") as websocket:
            await websocket.send(bytes(1_002))
            assert (await end_of(websocket))[0] == 1009
        await counted(server, "frame")


@pytest.mark.asyncio
@pytest.mark.parametrize("path", ["/v1/realtime", "/ws"])
@pytest.mark.parametrize(
    ("limits", "limit", "code", "says"),
    [
        (Limits(idle_s=0.05), "idle", "session_idle", "nothing came for"),
        (Limits(duration_s=0.05), "duration", "session_expired", "connect again"),
    ],
)
async def test_idle_and_duration(running: Any, path: str, limits: Limits, limit: str, code: str, says: str) -> None:
    async with running(limits=limits) as server:
        async with connect(f"ws://127.0.0.1:{server.port}{path}") as websocket:
            closed, reason, errors = await end_of(websocket)
        assert closed == 1001
        assert says in reason
        assert [error["code"] for error in errors] == ([code] if path == "/v1/realtime" else [])
        assert await hits(server) == {limit: 1}


@pytest.mark.asyncio
async def test_who_sends_is_not_idle(running: Any) -> None:
    async with running(limits=Limits(idle_s=0.3)) as server:
        async with connect(f"ws://127.0.0.1:{server.port}/ws") as websocket:
            for _ in range(10):
                await asyncio.sleep(0.05)
                await websocket.send(b"")
            await asyncio.sleep(0.1)
            assert server.sessions == 1
        assert await hits(server) == {}


@pytest.mark.asyncio
async def test_slow_reader(running: Any) -> None:
    # Sent as fast as they are made, replies fill the buffers of whoever does not read them.
    unpaced = replace(PROFILE, text_to_speech=replace(PROFILE.text_to_speech, lead_s=300.0))
    engine = scripted_engine(Script(reply=lambda messages: "And so on and so on. " * 200), profile=unpaced)
    async with running(engine, limits=Limits(slow_reader_s=0.05)) as server:
        stuck = await connect(f"ws://127.0.0.1:{server.port}/v1/realtime", max_queue=1).__aenter__()
        await stuck.send('{"type": "response.create"}')
        await counted(server, "slow_reader")
        assert server.sessions == 0
        stuck.transport.abort()


def test_audio_may_be_ahead_of_the_clock_by_so_much() -> None:
    now_s = [100.0]
    told = ("s of audio are", "send in real time")
    pace = Pace(Limit.AUDIO_AHEAD, most=90.0, per_s=1.0, refused=2.0, clock=lambda: now_s[0], told=told)
    for _ in range(90):
        pace.take(1.0)
    with pytest.raises(
        TooFastError, match=r"90 s of audio are ahead of the clock, 90 are the most; .*send in real time"
    ):
        pace.take(1.0)
    now_s[0] += 1.0
    pace.take(1.0)
    now_s[0] += 1_000.0
    pace.take(90.0)  # to have been slow for long is no credit
    with pytest.raises(TooFastError):
        pace.take(1.0)
    with pytest.raises(LimitError, match="keeps coming") as error:
        pace.take(1.0)
    assert not isinstance(error.value, TooFastError)


@pytest.mark.asyncio
async def test_audio_ahead_on_realtime_is_refused_then_told_and_closed_when_it_goes_on(running: Any, talk: Any) -> None:
    silence = bytes(2 * 24_000 * 4)
    limits = Limits(audio_ahead_s=5.0, refused_audio_s=9.0)
    async with running(scripted_engine(profile=TURNS_OF_TEN), limits=limits) as server, talk(server) as talker:
        # The longest turn at once, as of a client that uploads a recording, and 5 s more.
        for _ in range(3):
            await talker.append(silence)
        await talker.ask()
        assert (await talker.until("response.done"))["response"]["status"] == "completed"
        await talker.append(silence)
        refused = (await talker.until("error"))["error"]
        assert (refused["code"], refused["param"]) == ("rate_limit_exceeded", "audio")
        assert "send in real time" in refused["message"]
        await talker.send("conversation.item.retrieve", item_id="none")
        assert (await talker.until("error"))["error"]["code"] != "rate_limit_exceeded"  # everything else is served
        appends = asyncio.create_task(flood(talker.append, silence))
        code, reason, errors = await end_of(talker.websocket)
        await appends
        assert code == 1008
        assert "keeps coming" in reason
        assert {error["code"] for error in errors} == {"rate_limit_exceeded"}
        assert (await hits(server))["audio_ahead"] >= 2


@pytest.mark.asyncio
async def test_a_turn_that_was_taken_is_not_lost_for_the_tail_of_its_audio(
    running: Any, talk: Any, question: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(watch: Any, seconds: float) -> None:
        raise TooFastError(Limit.AUDIO_AHEAD, "not even these few milliseconds of the resampler's")

    async with running() as server, talk(server) as talker:
        await talker.update(audio={"input": {"turn_detection": None}})
        await talker.append(question(24_000))
        await talker.send("conversation.item.retrieve", item_id="none")
        await talker.until("error")  # the audio was taken
        monkeypatch.setattr("server.watching._Watch.heard", refuse)
        await talker.send("input_audio_buffer.commit")
        await talker.until("input_audio_buffer.committed")


@pytest.mark.asyncio
async def test_a_recording_as_long_as_the_longest_turn_may_come_at_once(running: Any) -> None:
    async with running(limits=Limits()) as server:
        async with connect(f"ws://127.0.0.1:{server.port}/ws") as websocket:
            for _ in range(round(PROFILE.turns.longest_turn_s)):
                await websocket.send(bytes(2 * 16_000))
            await websocket.send(b"")
        assert await hits(server) == {}


async def flood(append: Callable[[bytes], Any], pcm: bytes) -> None:
    try:
        while True:
            await append(pcm)
    except ConnectionClosed:
        pass


@pytest.mark.asyncio
async def test_audio_ahead_on_the_binary_route_is_closed(running: Any) -> None:
    engine = scripted_engine(profile=TURNS_OF_TEN)
    async with running(engine, limits=Limits(audio_ahead_s=5.0)) as server:
        async with connect(f"ws://127.0.0.1:{server.port}/ws") as websocket:
            second = bytes(2 * 16_000)
            for _ in range(14):
                await websocket.send(second)
            await (await websocket.ping())
            await asyncio.create_task(flood(websocket.send, second))
            code, reason, _ = await end_of(websocket)
        assert code == 1008
        assert "ahead of the clock" in reason
        assert await hits(server) == {"audio_ahead": 1}


def test_every_limit_is_in_the_operators_table() -> None:
    page = (Path(__file__).parents[2] / "docs" / "operating.md").read_text()
    table = page.partition("## Limits")[2].partition("\n## ")[0]
    assert re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE) == [*Limit]
