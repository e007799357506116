"""What /metrics and /ready tell of a server that is used."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from pipeline.capacity import Capacity
from pipeline.engine import Engine
from pipeline.testing import Script, scripted_engine
from server.app import Server, ServerSettings
from server.limits import Limits
from server.metrics import Metrics

Samples = dict[tuple[str, ...], float]


async def get(server: Server, path: str) -> httpx.Response:
    async with httpx.AsyncClient() as client:
        return await client.get(f"http://127.0.0.1:{server.port}{path}")


async def samples(server: Server) -> Samples:
    """Every sample by its name and the values of its labels, as Prometheus reads them."""
    response = await get(server, "/metrics")
    assert response.headers.get_list("Content-Type") == ["text/plain; version=0.0.4; charset=utf-8"]
    families = text_string_to_metric_families(response.text)
    return {(sample.name, *sample.labels.values()): sample.value for family in families for sample in family.samples}


@pytest.mark.asyncio
async def test_a_conversation_is_counted(running: Any, talk: Any, question: Any) -> None:
    async with running(limits=Limits(sessions=5)) as server:
        async with talk(server) as talker:
            await talker.ask()
            await talker.until("response.done")
            await talker.send("nonsense")
            await talker.until("error")
            told = await samples(server)
            assert (told["s2s_ready",], told["s2s_sessions",], told["s2s_sessions_limit",]) == (1, 1, 5)
            assert told["s2s_sessions_opened_total", "/v1/realtime"] == 1
            assert told["s2s_turns_total", "transcribed"] == 1
            assert told["s2s_replies_total", "completed"] == 1
            assert told["s2s_time_to_first_audio_seconds_count",] == 1
            stages = {key[1]: value for key, value in told.items() if key[0] == "s2s_stage_seconds_count"}
            assert stages == dict.fromkeys(
                ("pause", "transcript", "end_of_turn", "first_token", "first_clause", "first_sample"), 1
            )
            assert told["s2s_messages_total", "received"] == len(question(24_000)) / 960 + 1
            assert told["s2s_messages_total", "sent"] == len(talker.heard)
            assert told["s2s_message_bytes_total", "sent"] > 1_000
            (error,) = (key[1] for key in told if key[0] == "s2s_errors_total")
            assert error == talker.of("error")[0]["error"]["code"]
        while not (told := await samples(server)).get(("s2s_sessions_closed_total", "1000")):
            await asyncio.sleep(0.01)
        assert (told["s2s_sessions",], told["s2s_session_seconds_count",]) == (0, 1)


@pytest.mark.asyncio
async def test_cancellations_failures_and_empty_turns_are_counted(running: Any, talk: Any, question: Any) -> None:
    script = Script(heard=["", RuntimeError("the model is ill"), "hello"], reply=lambda messages: "And so on. " * 100)
    async with running(scripted_engine(script)) as server, talk(server) as talker:
        await talker.ask()
        await talker.until("conversation.item.input_audio_transcription.completed")
        await talker.append(question(24_000, silence_s=2.0))
        await talker.until("conversation.item.input_audio_transcription.failed")
        await talker.ask()
        await talker.until("response.output_audio.delta")
        await talker.send("response.cancel")
        await talker.until("response.done")
        told = await samples(server)
        assert [told["s2s_turns_total", outcome] for outcome in ("empty", "failed", "transcribed")] == [1, 1, 1]
        assert told["s2s_replies_total", "cancelled"] == 1
        assert told["s2s_errors_total", "speech_to_text_failed"] == 1


@pytest.mark.asyncio
async def test_a_client_cannot_make_up_series(running: Any) -> None:
    async with running() as server:
        for code in (4001, 4002, 1000):
            async with connect(f"ws://127.0.0.1:{server.port}/ws") as websocket:
                await websocket.close(code)
        while (told := await samples(server))["s2s_session_seconds_count",] < 3:
            await asyncio.sleep(0.01)
        closed = {key[1]: value for key, value in told.items() if key[0] == "s2s_sessions_closed_total"}
        assert closed == {"1000": 1, "other": 2}


@pytest.mark.asyncio
async def test_what_waits_for_a_model_is_told(running: Any) -> None:
    engine = scripted_engine(Script(hearing_s=600.0))
    async with running(engine) as server:
        calls = []
        async with asyncio.TaskGroup() as tasks:
            for _ in range(3):
                audio = engine.transcribe(np.zeros(16_000, np.float32), {}, deadline_s=0.0)
                calls.append(tasks.create_task(audio))
            await asyncio.sleep(0)
            told = await samples(server)
            for call in calls:
                call.cancel()
        assert told["s2s_worker_jobs_running", "speech-to-text"] == 1
        assert told["s2s_worker_jobs_waiting", "speech-to-text"] == 2
        assert {key[1] for key in told if key[0] == "s2s_worker_jobs_waiting"} == {
            "end-of-turn",
            "speech-to-text",
            "language-model",
            "text-to-speech",
        }


@pytest.mark.asyncio
async def test_how_many_a_model_is_at_together_is_told(running: Any, talk: Any) -> None:
    async with running(scripted_engine(Script(thinking_s=600.0))) as server, talk(server) as talker:
        for _ in range(3):
            await talker.send("response.create", response={"conversation": "none"})
            await talker.until("response.created")
        told = await samples(server)
        name, worker = "s2s_worker_batch_size", "language-model"
        by_size = {key[1]: value for key, value in told.items() if key[0] == f"{name}_bucket" and key[2] == worker}
        assert by_size == {"1.0": 1, "2.0": 2, "3.0": 3, "4.0": 3, "+Inf": 3}
        assert (told[f"{name}_count", worker], told[f"{name}_sum", worker]) == (3, 1 + 2 + 3)
        assert told[f"{name}_count", "text-to-speech"] == 0


def test_every_metric_is_in_the_operators_table() -> None:
    page = (Path(__file__).parents[2] / "docs" / "operating.md").read_text()
    table = page.partition("## Metrics")[2].partition("\n## ")[0]
    told = {family.name for family in text_string_to_metric_families(Metrics().text())}
    told = {name for name in told if not name.endswith("_created")}
    assert {
        name.removesuffix("_total") for name in re.findall(r"`(s2s_\w+)", table.partition("Worth an alarm")[0])
    } == told


@pytest.mark.asyncio
async def test_a_model_that_hangs_is_told_until_it_comes_back(running: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.engine.STUCK_S", 0.05)
    engine = scripted_engine(Script(hearing_s=600.0))
    async with running(engine) as server:
        hanging = asyncio.create_task(engine.transcribe(np.zeros(16_000, np.float32), {}, deadline_s=0.0))
        while (health := await get(server, "/health")).status_code == 200:
            await asyncio.sleep(0.01)
        assert "stuck: the speech-to-text" in health.text
        ready = await get(server, "/ready")
        assert (ready.status_code, ready.json()["state"]) == (503, "stuck")
        assert ready.json()["why"] in health.text
        told = await samples(server)
        assert told["s2s_ready",] == 0
        assert told["s2s_worker_job_seconds", "speech-to-text"] > 0.05
        assert told["s2s_worker_job_seconds", "text-to-speech"] == 0
        with pytest.raises(InvalidStatus):
            await connect(f"ws://127.0.0.1:{server.port}/ws", proxy=None).__aenter__()
        hanging.cancel()
        while (await get(server, "/ready")).status_code != 200:
            await asyncio.sleep(0.01)
        assert (await get(server, "/health")).text == "Ok"


@pytest.mark.asyncio
async def test_two_servers_count_for_themselves(running: Any, talk: Any) -> None:
    async with running() as one, running() as other, talk(one):
        assert (await samples(one))["s2s_sessions",] == 1
        assert (await samples(other))["s2s_sessions",] == 0


@pytest.mark.asyncio
async def test_ready_says_for_how_many_and_why_not_more() -> None:
    warm, measured = asyncio.Event(), asyncio.Event()

    async def load(on_loading: Callable[[str], None]) -> Engine:
        on_loading("speech to text")
        await warm.wait()
        return scripted_engine()

    async def measure(engine: Engine) -> Capacity:
        await measured.wait()
        return Capacity(3, "text-to-speech", {})

    async with Server(load, ServerSettings(port=0), measure=measure) as server:
        while "speech to text" not in (response := await get(server, "/ready")).text:
            pass
        assert response.status_code == 503
        assert "Retry-After" in response.headers
        assert response.json() == {
            "state": "loading",
            "sessions": 0,
            "capacity": None,
            "limited_by": None,
            "why": "loading: speech to text",
        }
        assert (await samples(server))["s2s_ready",] == 0
        warm.set()
        while "measurement" not in (await get(server, "/ready")).json()["why"]:
            pass
        measured.set()
        await server.ready()
        async with connect(f"ws://127.0.0.1:{server.port}/ws"):
            response = await get(server, "/ready")
    assert response.status_code == 200
    assert response.headers.get_list("Content-Type") == ["application/json"]
    assert response.json() == {"state": "ready", "sessions": 1, "capacity": 3, "limited_by": "text-to-speech"}


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("limits", "capacity", "by"), [(Limits(), None, None), (Limits(sessions=7), 7, "--max-sessions")]
)
async def test_ready_without_a_measurement(running: Any, limits: Limits, capacity: Any, by: Any) -> None:
    async with running(limits=limits) as server:
        told = (await get(server, "/ready")).json()
        assert (told["capacity"], told["limited_by"]) == (capacity, by)
        assert (await samples(server))["s2s_sessions_limit",] == (capacity or float("inf"))
