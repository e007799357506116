"""`s2s talk` from the outside: what is printed, saved, and said when it cannot be."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner
from websockets.asyncio.server import ServerConnection, serve

from cli.talk import talk
from client.endpoint import DONE


async def answer(websocket: ServerConnection) -> None:
    """Answers the end of the question, which is five frames long, in the protocol that the path asks for."""
    if websocket.request and websocket.request.path == "/ws":
        await heard(websocket, 7)
        await websocket.send(b"\x00\x40" * 1600)
        await websocket.send(DONE)
    else:
        await websocket.recv()
        await websocket.send(json.dumps({"type": "session.updated"}))
        await heard(websocket, 7)
        for event in (
            {"type": "conversation.item.input_audio_transcription.completed", "transcript": "[bold] hello"},
            {"type": "response.output_audio_transcript.delta", "delta": "Hi."},
            {"type": "response.output_audio.delta", "delta": "AEAAQA=="},
            {"type": "response.done", "response": {"status": "completed"}},
        ):
            await websocket.send(json.dumps(event))
    async for _ in websocket:
        pass


async def heard(websocket: ServerConnection, frames: int) -> None:
    while frames:
        frames -= bool(await websocket.recv())


@pytest.fixture
def server() -> Iterator[str]:
    """The address of an answering server, in a thread of its own."""
    started, address, stop = threading.Event(), [], []

    async def listen() -> None:
        async with serve(answer, "127.0.0.1", 0) as listening:
            address.append(f"ws://127.0.0.1:{next(iter(listening.sockets)).getsockname()[1]}")
            stop.extend([asyncio.get_running_loop(), asyncio.Event()])
            started.set()
            await stop[1].wait()

    thread = threading.Thread(target=lambda: asyncio.run(listen()))
    thread.start()
    started.wait()
    yield address[0]
    stop[0].call_soon_threadsafe(stop[1].set)
    thread.join()


@pytest.fixture
def question(tmp_path: Path) -> Path:
    path = tmp_path / "question.wav"
    soundfile.write(path, np.zeros(1600), 16_000)
    return path


@pytest.mark.parametrize(("path", "samples"), [("", 2), ("/ws", 1600)])
def test_a_question_is_answered_and_saved(server: str, question: Path, path: str, samples: int) -> None:
    reply = question.with_name("reply.wav")
    result = CliRunner().invoke(talk, ["--url", server + path, "--file", str(question), "--save", str(reply)])
    assert result.exit_code == 0, result.output
    assert "first audio" in result.output
    assert ("heard: [bold] hello" in result.output) == (path == "")
    assert len(soundfile.read(reply)[0]) == samples


@pytest.mark.parametrize(
    ("url", "said"),
    [("ws://127.0.0.1:1", "nothing listens at ws://127.0.0.1:1"), ("nonsense", "is not a websocket address")],
)
def test_a_server_that_cannot_be_had_is_said_so(question: Path, url: str, said: str) -> None:
    result = CliRunner().invoke(talk, ["--url", url, "--file", str(question)])
    assert result.exit_code == 1
    assert said in result.output


def test_a_file_that_is_no_sound_is_said_so(tmp_path: Path) -> None:
    result = CliRunner().invoke(talk, ["--file", str(tmp_path / "none.wav")])
    assert result.exit_code == 1
    assert "none.wav cannot be read as sound" in result.output


def test_a_reply_that_cannot_be_saved_is_said_so(server: str, question: Path) -> None:
    reply = question.parent / "no such folder" / "reply.wav"
    result = CliRunner().invoke(talk, ["--url", server, "--file", str(question), "--save", str(reply)])
    assert result.exit_code == 1
    assert "cannot be written" in result.output
