"""`s2s talk` from the outside: what is printed, saved, and said when it cannot be."""

from __future__ import annotations

import asyncio
import base64
import json
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner
from websockets.asyncio.server import ServerConnection, serve

from cli.talk import talk
from client.call import Call
from client.endpoint import DONE
from client.file_card import FileCard
from client.sound_card import Device


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
            {"type": "response.output_audio.delta", "delta": base64.b64encode(b"\x00\x40" * 1600).decode()},
            {"type": "response.done", "response": {"status": "completed"}},
        ):
            await websocket.send(json.dumps(event))
        if websocket.request and "leave" in websocket.request.path:
            return
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


@pytest.mark.parametrize("path", ["", "/ws"])
def test_a_question_is_answered_and_saved(server: str, question: Path, path: str) -> None:
    reply = question.with_name("reply.wav")
    result = CliRunner().invoke(talk, ["--url", server + path, "--file", str(question), "--save", str(reply)])
    assert result.exit_code == 0, result.output
    assert "s after the end of the file" in result.output
    assert ("you: [bold] hello" in result.output) == (path == "")
    assert ("server: Hi." if path == "" else "server: (speaks") in result.output
    samples, rate_hz = soundfile.read(reply)
    assert rate_hz == (16_000 if path else 24_000)
    assert 1600 <= len(samples) <= 1600 + 2 * 128  # and the ramps at either end
    assert np.median(samples) == pytest.approx(0.5, abs=0.01)


def test_a_live_call_without_the_extra_says_what_brings_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    for options in ([], ["--devices"]):
        result = CliRunner().invoke(talk, options)
        assert result.exit_code == 1
        assert "pip install 's2s-gate[audio]'" in result.output
        assert "--file" in result.output


def test_a_machine_without_a_sound_device_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("client.sound_card.devices", list)
    result = CliRunner().invoke(talk, ["--devices"])
    assert result.exit_code == 1
    assert "no sound device" in result.output


def test_devices_are_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [Device(0, "Headset (ALSA)", 1, 2, True, False), Device(1, "Speaker (ALSA)", 0, 2, False, True)]
    monkeypatch.setattr("client.sound_card.devices", lambda: found)
    result = CliRunner().invoke(talk, ["--devices"])
    assert result.exit_code == 0
    headset, speaker = [line.split() for line in result.output.splitlines() if "ALSA" in line]
    assert headset == ["0", "Headset", "(ALSA)", "default", "yes"]
    assert speaker == ["1", "Speaker", "(ALSA)", "default"]


def test_a_live_call_is_held_with_whatever_sound_card_there_is(
    server: str, question: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The card is a file; the server says goodbye when it has answered."""
    chosen: dict[str, Any] = {}

    def card(rate_hz: int, **devices: str | None) -> FileCard:
        chosen.update(devices, rate_hz=rate_hz)
        return FileCard(np.zeros(100, np.float32), rate_hz)

    monkeypatch.setattr("client.sound_card.PortAudioCard", card)
    result = CliRunner().invoke(talk, ["--url", f"{server}/v1/realtime?leave", "--microphone", "usb"])
    assert result.exit_code == 0, result.output
    assert chosen == {"rate_hz": 24_000, "microphone": "usb", "loudspeaker": None}
    assert "headphones" in result.output
    assert "you: [bold] hello" in result.output
    assert "the server has ended the conversation" in result.output


def test_ctrl_c_ends_a_live_call_in_order(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def run(_call: Call) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("client.sound_card.PortAudioCard", lambda rate_hz, **_: FileCard(np.zeros(1), rate_hz))
    monkeypatch.setattr("client.call.Call.run", run)
    result = CliRunner().invoke(talk, ["--url", server])
    assert result.exit_code == 0, result.output


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--save", "reply.wav"], "--save writes the answer to --file"),
        (["--file", "question.wav", "--microphone", "usb"], "takes the place of --microphone"),
    ],
)
def test_options_that_do_not_go_together_are_said_so(options: list[str], said: str) -> None:
    result = CliRunner().invoke(talk, options)
    assert result.exit_code == 2
    assert said in result.output


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
