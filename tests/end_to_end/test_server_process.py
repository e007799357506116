"""`s2s serve` as a process of its own, with the real embedded models, spoken to by real clients."""

from __future__ import annotations

import asyncio
import base64
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import httpx
import numpy as np
import pytest
import soundfile
from openai import AsyncOpenAI
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from client.audio import read_pcm16
from client.endpoint import EndpointClient
from client.events import Failed, Heard, ReplyAudio, ReplyEnded, ServerEvent, Spoken
from client.play import play
from client.realtime import RealtimeClient
from pipeline.weights import WeightStore
from tests.end_to_end.server_process import CLIPS, ServerProcess, started
from tests.original_client import OriginalClient, Reply

pytestmark = pytest.mark.models


@pytest.fixture(scope="module")
def server(weights: WeightStore, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """Warm, and seen to say that it was loading before; ended by SIGTERM with exit code 0."""
    with started(tmp_path_factory.mktemp("server") / "server.log") as server:
        yield server
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(20) == 0, server.log.read_text()
        said = server.log.read_text()  # nothing failed but the models that were killed on purpose
        assert said.count("Traceback") == said.count("\n    pipeline.model_process.ModelProcessError: "), said


@dataclass
class Answer:
    heard: str = ""
    said: str = ""
    pcm: bytes = b""
    ended: ReplyEnded | None = None
    failed: str = ""

    def note(self, _at_s: float, event: ServerEvent) -> None:
        match event:
            case Heard(text):
                self.heard = text
            case Spoken(text):
                self.said += text
            case ReplyAudio(pcm):
                self.pcm += pcm
            case ReplyEnded():
                self.ended = event
            case Failed(reason):
                self.failed = reason


async def ask(server: ServerProcess, clip: str, language: str = "auto") -> Answer:
    answer = Answer()
    async with RealtimeClient(server.websocket("/v1/realtime"), language=language) as client:
        await play(client, read_pcm16(CLIPS / f"{clip}.flac", 24_000), rate_hz=24_000, on_event=answer.note, limit_s=60)
    assert not answer.failed
    return answer


@pytest.mark.asyncio
async def test_two_conversations_at_once_get_their_own_replies(server: ServerProcess) -> None:
    english, korean = await asyncio.gather(ask(server, "en-01"), ask(server, "ko-01"))
    assert english.heard != korean.heard
    assert english.heard.isascii()
    assert not korean.heard.isascii()
    assert korean.said.strip() == korean.heard  # the embedded default echoes Korean
    assert english.said.strip() != english.heard
    for answer in (english, korean):
        assert len(answer.pcm) > 24_000
        assert answer.ended is not None
        assert answer.ended.trace is not None


@pytest.mark.asyncio
async def test_the_openai_sdk_speaks_twice_and_is_remembered(server: ServerProcess) -> None:
    async def turn(pcm: bytes) -> tuple[str, int, int]:
        async def talk() -> None:
            # Silence follows until the answer is there, as from a microphone that stays open.
            for start in range(0, len(pcm) + 48_000 * 60, 960):
                frame = pcm[start : start + 960].ljust(960, b"\0")
                await connection.input_audio_buffer.append(audio=base64.b64encode(frame).decode())
                await asyncio.sleep(0.02)

        heard, sound = "", 0
        async with asyncio.timeout(120), asyncio.TaskGroup() as tasks:
            talking = tasks.create_task(talk())
            async for event in connection:
                assert event.type != "error", event
                if event.type == "conversation.item.input_audio_transcription.completed":
                    heard = event.transcript
                elif event.type == "response.output_audio.delta":
                    sound += len(base64.b64decode(event.delta))
                elif event.type == "response.done":
                    talking.cancel()
                    usage = event.response.usage
                    assert usage is not None
                    return heard, sound, usage.input_tokens or 0
        raise AssertionError("the server closed before the response was done")

    client = AsyncOpenAI(base_url=f"http://127.0.0.1:{server.port}/v1", api_key="none")
    async with client.realtime.connect(model="s2s-gate") as connection:
        assert (await connection.recv()).type == "session.created"
        await connection.session.update(
            session={"type": "realtime", "audio": {"input": {"transcription": {"language": "en"}}}}
        )
        assert (await connection.recv()).type == "session.updated"
        first_heard, first_sound, first_tokens = await turn(read_pcm16(CLIPS / "en-01.flac", 24_000))
        second_heard, second_sound, second_tokens = await turn(read_pcm16(CLIPS / "en-02.flac", 24_000))
    assert first_heard
    assert second_heard
    assert first_heard != second_heard
    assert first_sound > 24_000
    assert second_sound > 24_000
    # The second prompt holds the first question and its answer besides its own.
    assert second_tokens > first_tokens + len(first_heard) // 8


@pytest.mark.asyncio
async def test_the_openai_sdk_writes_the_result_of_a_call_and_hears_of_it(server: ServerProcess) -> None:
    """SmolLM2 calls no function, but it reads what the caller's program has found out."""
    items: list[Any] = [
        {
            "type": "message",
            "role": "user",
            "content": [{"type": "input_text", "text": "What is the weather in Paris?"}],
        },
        {"type": "function_call", "call_id": "call_1", "name": "weather", "arguments": '{"city": "Paris"}'},
        {"type": "function_call_output", "call_id": "call_1", "output": "sunny, 21 degrees"},
    ]
    client = AsyncOpenAI(base_url=f"http://127.0.0.1:{server.port}/v1", api_key="none")
    async with asyncio.timeout(60), client.realtime.connect(model="s2s-gate") as connection:
        audio: Any = {"input": {"transcription": {"language": "en"}}}
        tools: Any = [{"type": "function", "name": "weather", "parameters": {"type": "object"}}]
        await connection.session.update(
            session={"type": "realtime", "audio": audio, "tools": tools, "instructions": "Answer briefly."}
        )
        for item in items:
            await connection.conversation.item.create(item=item)
        # Beside the conversation, in text; then the same aloud.
        aside: Any = {"conversation": "none", "output_modalities": ["text"]}
        answers = []
        for response in (aside, {}):
            await connection.response.create(response=response)
            async for event in connection:
                assert event.type != "error", event
                if event.type == "response.done":
                    content = event.response.output[0].content[0]
                    answers.append(content.text or content.transcript)
                    break
    assert len(answers) == 2
    for answer in answers:
        assert "sunny" in answer.lower()


@pytest.mark.asyncio
async def test_a_client_of_the_original_protocol_is_answered(server: ServerProcess) -> None:
    answer = Answer()
    async with EndpointClient(server.websocket("/ws"), language="es") as client:
        await play(client, read_pcm16(CLIPS / "es-01.flac", 16_000), rate_hz=16_000, on_event=answer.note, limit_s=60)
    assert not answer.failed
    assert answer.ended is not None
    assert len(answer.pcm) > 16_000


@pytest.mark.parametrize(("path", "told"), [("", "server: "), ("/ws", "no words")])
def test_talk_asks_a_recording_and_saves_the_answer(
    server: ServerProcess, tmp_path: Path, path: str, told: str
) -> None:
    reply = tmp_path / "reply.wav"
    options = ["--url", server.websocket(path), "--file", str(CLIPS / "es-01.flac"), "--save", str(reply)]
    talked = subprocess.run(
        [sys.executable, "-m", "cli", "talk", "--language", "es", *options],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert talked.returncode == 0, talked.stdout + talked.stderr
    assert told in talked.stdout
    assert "first sound" in talked.stdout
    samples, rate_hz = soundfile.read(reply)
    assert len(samples) > rate_hz
    assert np.sqrt(np.mean(samples**2)) > 0.01


async def call(server: ServerProcess, clip: str, block: int, questions: int) -> list[Reply]:
    """As the original client does it, a second of silence before each question; the language is left to the server."""
    async with (
        connect(server.websocket("/ws?language=auto")) as websocket,
        OriginalClient(cast(Any, websocket), block) as client,
    ):
        replies = []
        for _ in range(questions):
            await client.keep_silent(1.0)
            replies.append(await client.ask(read_pcm16(CLIPS / f"{clip}.flac", 16_000)))
        return replies


def alike(one: Reply, other: Reply) -> float:
    """How much of one reply's sound is in the other, at the shift where they agree most: 1 for the same reply."""
    a, b = (np.frombuffer(b"".join(reply.frames), "<i2").astype(float) for reply in (one, other))
    size = 2 ** int(np.ceil(np.log2(a.size + b.size)))
    agreement = np.fft.irfft(np.fft.rfft(a, size) * np.conj(np.fft.rfft(b, size)))
    return float(np.abs(agreement).max() / np.sqrt(np.sum(a**2) * np.sum(b**2)))


@pytest.mark.asyncio
async def test_three_original_clients_at_once_get_their_own_replies_to_two_questions_each(
    server: ServerProcess,
) -> None:
    callers = [("fr-01", 512), ("es-01", 1_024), ("ko-01", 1_024)]  # whose replies are what was heard
    alone = [(await call(server, clip, block, 1))[0] for clip, block in callers]
    together = await asyncio.gather(*(call(server, clip, block, 2) for clip, block in callers))
    for replies, (_, block) in zip(together, callers, strict=True):
        for reply in replies:
            assert {len(frame) for frame in reply.frames[:-1]} == {2 * block}
            own = [alike(reply, one) for one in alone]
            assert own.index(max(own)) == together.index(replies), own


@pytest.mark.asyncio
async def test_the_misdeeds_of_one_client_do_not_disturb_another(server: ServerProcess) -> None:
    async def expect_close(path: str, message: str | bytes, code: int) -> None:
        # Not as a context manager: the connection is broken on purpose, and has nothing to say goodbye with.
        websocket = await connect(server.websocket(path), max_size=None)
        with pytest.raises(ConnectionClosed) as closed:
            await websocket.send(message)
            while True:
                await websocket.recv()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == code

    async def expect_error(message: str) -> None:
        async with connect(server.websocket("/v1/realtime")) as websocket:
            await websocket.send(message)
            while '"type":"error"' not in str(await websocket.recv()).replace(" ", ""):
                pass

    async def vanish() -> None:
        websocket = await connect(server.websocket("/ws"))
        pcm = read_pcm16(CLIPS / "fr-01.flac", 16_000)
        for start in range(0, len(pcm) // 2, 640):
            await websocket.send(pcm[start : start + 640])
        websocket.transport.abort()

    honest, *_ = await asyncio.gather(
        ask(server, "ja-01", "ja"),
        expect_close("/ws", "text", 1003),
        expect_close("/ws", b"\1\2\3", 1007),
        expect_close("/v1/realtime", "x" * 100_000_000, 1009),
        expect_error("{broken"),
        expect_error('{"type":"unheard.of"}'),
        vanish(),
        vanish(),
    )
    assert honest.said.strip() == honest.heard
    assert honest.heard


@pytest.mark.asyncio
async def test_four_conversations_hold_no_more_models_than_one(server: ServerProcess) -> None:
    await ask(server, "en-01")
    alone = server.resident_bytes()
    answers = await asyncio.gather(*(ask(server, clip) for clip in ("en-01", "fr-01", "zh-01", "ko-02")))
    assert all(answer.said for answer in answers)
    smallest_model = 77 * 2**20  # Whisper's weights, the smallest of the three big ones
    assert server.resident_bytes() - alone < smallest_model


@pytest.mark.asyncio
@pytest.mark.parametrize("worker", ["speech-to-text", "language-model", "text-to-speech"])
async def test_a_model_that_is_killed_loses_only_the_turn_it_was_at(server: ServerProcess, worker: str) -> None:
    """It stands still from the beginning of a caller's question on, and is killed a second after its end; then another
    caller begins to speak."""
    killed = asyncio.Event()
    pcm = read_pcm16(CLIPS / "en-01.flac", 24_000)
    lost, next_answer = Answer(), Answer()

    def kill() -> None:
        server.model_process(worker).kill()
        killed.set()

    async def unlucky() -> None:
        async with RealtimeClient(server.websocket("/v1/realtime"), language="en") as client:
            server.model_process(worker).suspend()
            asyncio.get_running_loop().call_later(len(pcm) / 48_000 + 1.0, kill)
            await play(client, pcm, rate_hz=24_000, on_event=lost.note, limit_s=60)
            await play(client, pcm, rate_hz=24_000, on_event=next_answer.note, limit_s=60)

    async def lucky() -> Answer:
        await killed.wait()
        return await ask(server, "ko-02")

    before = server.model_process(worker).pid
    _, other = await asyncio.gather(unlucky(), lucky())
    # A transcription that still waited for the model is made by the next one: not even that turn is lost.
    assert worker.replace("-", " ") in lost.failed or (worker == "speech-to-text" and lost.pcm)
    assert not next_answer.failed
    assert len(next_answer.pcm) > 24_000
    assert other.said.strip() == other.heard
    assert len(other.pcm) > 24_000
    assert server.model_process(worker).pid != before
    async with httpx.AsyncClient() as metrics:
        told = (await metrics.get(f"http://127.0.0.1:{server.port}/metrics")).text
    assert f's2s_worker_restarts{{worker="{worker}"}} 1.0' in told
