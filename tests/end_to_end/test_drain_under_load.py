"""SIGTERM to a busy `s2s serve`: with the embedded models, and callers of both protocols in the midst of everything."""

from __future__ import annotations

import asyncio
import base64
import json
import re
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path

import numpy as np
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from client.audio import read_pcm16
from pipeline.weights import WeightStore
from tests.end_to_end.server_process import CLIPS, ServerProcess, started

pytestmark = pytest.mark.models

BLOCK_S = 0.032
PAUSE_S = 0.1
LEAD_S, TAIL_S = 0.3, 0.5
"""The silence of a synthetic clip before the speech and after it."""
DRAIN_LIMIT_S = 90
LEAST_S = 5.0
"""Of a reply that says the whole question again."""
REPLYING = 3
"""How many must be in the midst of a reply when the signal comes."""


def speech(language: str, rate_hz: int) -> bytes:
    """PCM16 of both clips of a language, without the silence around them: a long turn, and a long answer of `echo`."""
    clips = [read_pcm16(CLIPS / f"{language}-0{number}.flac", rate_hz) for number in (1, 2)]
    lead, tail = 2 * round(LEAD_S * rate_hz), 2 * round(TAIL_S * rate_hz)
    return bytes(2 * round(PAUSE_S * rate_hz)).join(clip[lead:-tail] for clip in clips)


@dataclass
class Caller:
    """One conversation, from the caller's side.

    Attributes:
        ends: whether the question comes to an end; one without speaks on.
        committed: a turn was taken for over (which `/ws` does not tell).
        pcm: of the replies, as it was heard.
        begun: replies of which something was heard.
        done: replies that were heard to their end.
        loose: something was heard behind the end of a reply, before another began.
    """

    path: str
    language: str
    ends: bool = True
    committed: bool = False
    speaking: bool = False
    pcm: bytearray = field(default_factory=bytearray, repr=False)
    said: str = ""
    begun: int = 0
    done: int = 0
    statuses: list[str] = field(default_factory=list)
    transcripts: list[str] = field(default_factory=list)
    close_code: int | None = None

    @property
    def is_realtime(self) -> bool:
        return self.path != "/ws"

    @property
    def rate_hz(self) -> int:
        return 24_000 if self.is_realtime else 16_000

    @property
    def replying(self) -> bool:
        return self.begun > self.done

    @property
    def heard_s(self) -> float:
        return len(self.pcm) / 2 / self.rate_hz

    async def hold(self, server: ServerProcess) -> None:
        """Ask, and hear what comes until the server closes."""
        url = server.websocket(self.path if self.is_realtime else f"/ws?language={self.language}")
        async with connect(url, proxy=None, max_size=None, close_timeout=1) as websocket:
            if self.is_realtime:
                transcription = {"language": self.language}
                session = {"type": "realtime", "audio": {"input": {"transcription": transcription}}}
                await websocket.send(json.dumps({"type": "session.update", "session": session}))
            speaking = asyncio.create_task(self._speak(websocket))
            try:
                async for message in websocket:
                    self._note(message)
            except ConnectionClosed as closed:
                raise AssertionError(f"{self}: it broke instead of being closed") from closed
            finally:
                speaking.cancel()
            self.close_code = websocket.close_code

    async def _speak(self, websocket: ClientConnection) -> None:
        loop = asyncio.get_running_loop()
        due_s = loop.time()
        with suppress(ConnectionClosed):
            async for block in self._blocks():
                await asyncio.sleep(max(0.0, due_s - loop.time()))
                due_s += BLOCK_S
                if self.is_realtime:
                    audio = base64.b64encode(block).decode()
                    await websocket.send(json.dumps({"type": "input_audio_buffer.append", "audio": audio}))
                else:
                    await websocket.send(block)

    async def _blocks(self) -> AsyncIterator[bytes]:
        """The question, and silence as of an open microphone; or speech without an end."""
        size = 2 * round(BLOCK_S * self.rate_hz)
        asked = speech(self.language, self.rate_hz)
        blocks = [asked[start : start + size].ljust(size, b"\0") for start in range(0, len(asked), size)]
        for block in blocks if self.ends else cycle(blocks):
            yield block
        while True:
            yield bytes(size)

    def _note(self, message: str | bytes) -> None:
        if isinstance(message, bytes):
            if message == b"DONE":
                self.done += 1
                return
            self.begun = self.done + 1
            self.pcm += message
            return
        event = json.loads(message)
        match event["type"]:
            case "input_audio_buffer.speech_started":
                self.speaking = True
            case "input_audio_buffer.committed":
                self.committed = True
            case "response.output_audio.delta":
                self.begun = self.done + 1
                self.pcm += base64.b64decode(event["delta"])
            case "response.output_audio_transcript.delta":
                self.said += event["delta"]
            case "response.output_audio_transcript.done":
                self.transcripts.append(event["transcript"])
            case "response.done":
                self.done += 1
                self.statuses.append(event["response"]["status"])
            case "error":
                raise AssertionError(event)


def replies_in(log: str) -> list[tuple[str, str, float]]:
    """By what the server says: the path, the status, and how many seconds of sound each reply had."""
    paths = dict(re.findall(r"\[session (\d+)\]: (\S+) opened", log))
    ended = re.findall(r"\[session (\d+)[^\]]*\]: reply (\w+), ([\d.]+) s of sound", log)
    return [(paths[session], status, float(sound_s)) for session, status, sound_s in ended]


async def refusals(server: ServerProcess) -> list[tuple[int, str | None, str]]:
    """Status, `Retry-After` and words, for each who calls after the signal, as long as anybody listens."""
    found = []
    for path in cycle(["/v1/realtime", "/ws"]):
        try:
            async with connect(server.websocket(path), proxy=None, close_timeout=1):
                found.append((101, None, path))
        except InvalidStatus as refused:
            response = refused.response
            found.append((response.status_code, response.headers.get("Retry-After"), response.body.decode()))
        except (OSError, EOFError, ConnectionClosed):
            return found
        except Exception as error:
            found.append((0, None, repr(error)))
        await asyncio.sleep(0.2)
    raise AssertionError("never")


@pytest.mark.asyncio
async def test_a_busy_server_that_is_told_to_leave_loses_no_reply(weights: WeightStore, tmp_path: Path) -> None:
    with started(tmp_path / "server.log", "--drain-limit", str(DRAIN_LIMIT_S)) as server:
        asking = [Caller(path, language) for path in ("/v1/realtime", "/ws") for language in ("es", "fr", "es")]
        speaking = [Caller(path, "fr", ends=False) for path in ("/v1/realtime", "/ws")]
        callers = [*asking, *speaking]
        holding = [asyncio.create_task(caller.hold(server)) for caller in asking]

        async def until(reached: Callable[[], bool]) -> None:
            while not reached():
                await asyncio.sleep(0.01)
                assert not any(held.done() for held in holding), [held for held in holding if held.done()]

        def many_are_replying() -> bool:
            replying = [caller.is_realtime for caller in asking if caller.replying]
            return len(replying) >= REPLYING and len(set(replying)) == 2

        async with asyncio.timeout(120):
            await until(many_are_replying)
            holding += [asyncio.create_task(caller.hold(server)) for caller in speaking]
            await until(lambda: speaking[0].speaking and many_are_replying())
        replying = [caller for caller in asking if caller.replying]
        owed = [caller for caller in asking if caller.committed and not caller.done and not caller.replying]
        ended = [caller for caller in asking if caller.done]
        server.process.send_signal(signal.SIGTERM)
        refused = asyncio.create_task(refusals(server))
        async with asyncio.timeout(DRAIN_LIMIT_S + 30):
            await asyncio.gather(*holding)
            turned_away = await refused
            assert await asyncio.to_thread(server.process.wait) == 0
        said = server.log.read_text()

    assert "leaving anyway" not in said, said
    assert "Traceback" not in said, said
    assert {caller.close_code for caller in callers} == {1001}
    for caller in [*replying, *owed, *ended]:
        assert (caller.begun, caller.done) == (1, 1), caller
        if caller.is_realtime:
            assert caller.statuses == ["completed"]
            assert caller.transcripts == [caller.said]
        tail = np.frombuffer(bytes(caller.pcm[-2 * caller.rate_hz // 50 :]), "<i2").astype(float)
        assert np.sqrt(np.mean(tail**2)) < 1_000, "it ends in the midst of a word"
    # To the last sample of all that was made; the log says it to a hundredth of a second.
    made = replies_in(said)
    for path in ("/v1/realtime", "/ws"):
        lengths = sorted(sound_s for at, status, sound_s in made if at == path)
        assert sorted(caller.heard_s for caller in asking if caller.path == path and caller.begun) == pytest.approx(
            lengths, abs=0.006
        )
    assert {status for _, status, _ in made} == {"completed"}
    assert min(sound_s for *_, sound_s in made) > LEAST_S
    for caller in speaking:  # whose turns are not over, and are not waited for
        assert not caller.begun
    # The first may still have been let in, while the signal was on its way.
    assert [status for status, *_ in turned_away].count(101) <= 1
    answered = [one for one in turned_away if one[0] != 101]
    assert len(answered) > 3
    assert {(status, retry_after) for status, retry_after, _ in answered} == {(503, "5")}
    assert "leaving" in answered[0][2]
