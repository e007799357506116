"""Clips of a tone, and servers that follow a script or a programme, for whatever plays one into the other."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest
import soundfile
from websockets.exceptions import ConnectionClosed, ConnectionClosedError, ConnectionClosedOK
from websockets.frames import Close

from client.events import ServerEvent
from client.play import LoopClock
from harness import gates, reports
from harness.fixtures import Fixture, available, read
from harness.recording import Chunk, Recording
from harness.reference.behaviour import parse_query
from harness.reference.server import PATHS, converse
from harness.results import ResultsWriter, RunHeader, TurnRow
from harness.scoring import score_turn
from pipeline.audio import FloatArray, float_to_pcm16

RATE_HZ = 16_000

Script = Sequence[tuple[float, ServerEvent]]


class ScriptedSession:
    def __init__(self, target: ScriptedTarget, script: Script) -> None:
        self._target = target
        self._script = script

    async def send(self, pcm16: bytes) -> None:
        self._target.sent.append(pcm16)

    async def events(self) -> AsyncIterator[ServerEvent]:
        started_s = asyncio.get_running_loop().time()
        for at_s, event in self._script:
            await asyncio.sleep(started_s + at_s - asyncio.get_running_loop().time())
            yield event
        if not self._target.hangs_up:
            await asyncio.Event().wait()


@dataclass
class ScriptedTarget:
    """Plays the scripts one after the other, the last one for ever; an exception among them is raised on connecting."""

    scripts: list[Script | Exception]
    hangs_up: bool = False
    name: str = "realtime"
    input_rate_hz: int = RATE_HZ
    output_rate_hz: int = 24_000
    said: dict[str, str] = field(default_factory=dict)
    languages: list[str] = field(default_factory=list)
    sent: list[bytes] = field(default_factory=list)

    @asynccontextmanager
    async def connect(self, language: str) -> AsyncIterator[ScriptedSession]:
        self.languages.append(language)
        script = self.scripts.pop(0) if len(self.scripts) > 1 else self.scripts[0]
        if isinstance(script, Exception):
            raise script
        yield ScriptedSession(self, script)

    async def describe(self) -> dict[str, str]:
        return self.said


@pytest.fixture
def scripted_target() -> Callable[..., ScriptedTarget]:
    """`scripted_target(script, ...)`, where a script is [(seconds since connecting, event), ...]."""
    return lambda *scripts, **settings: ScriptedTarget(list(scripts), **settings)


@pytest.fixture
def make_clip(tmp_path: Path) -> Callable[..., Fixture]:
    """`make_clip(id, language, seconds, speech_end_s)`: a verified clip of a soft tone."""

    def make(
        clip_id: str = "en_tone", language: str = "en", seconds: float = 0.5, speech_end_s: float | None = 0.4
    ) -> Fixture:
        path = tmp_path / f"{clip_id}.wav"
        samples = int(seconds * RATE_HZ)
        soundfile.write(path, 0.1 * np.sin(np.arange(samples) / 10), RATE_HZ)
        return Fixture(
            id=clip_id,
            language=language,
            tier="synthetic",
            transcript="" if speech_end_s is None else "hello",
            transcript_source="made up",
            speaker="a tone",
            condition="clean",
            licence="none",
            attribution=None,
            source=None,
            file=path.name,
            sha256="0" * 64,
            pcm_sha256=None,
            rate_hz=RATE_HZ,
            samples=samples,
            speech_start=None if speech_end_s is None else 0,
            speech_end=None if speech_end_s is None else int(speech_end_s * RATE_HZ),
            marks_source="made up",
            path=path,
        )

    return make


@dataclass
class Pipe:
    """Both ends of a websocket; what is sent arrives at once."""

    to_server: asyncio.Queue[str | bytes | None] = field(default_factory=asyncio.Queue)
    to_client: asyncio.Queue[str | bytes | None] = field(default_factory=asyncio.Queue)
    closed: ConnectionClosed | None = None

    def close(self, reason: ConnectionClosed) -> None:
        if self.closed is None:
            self.closed = reason
            self.to_server.put_nowait(None)
            self.to_client.put_nowait(None)


class End:
    """One end, as far as clients and the reference server use a websocket."""

    def __init__(
        self, pipe: Pipe, incoming: asyncio.Queue[str | bytes | None], outgoing: asyncio.Queue[str | bytes | None]
    ) -> None:
        self._pipe = pipe
        self._incoming = incoming
        self._outgoing = outgoing

    async def recv(self) -> str | bytes:
        message = await self._incoming.get()
        if message is None:
            assert self._pipe.closed is not None
            raise self._pipe.closed
        return message

    async def send(self, message: str | bytes) -> None:
        if self._pipe.closed is not None:
            raise self._pipe.closed
        self._outgoing.put_nowait(message)

    async def close(self) -> None:
        self._pipe.close(ConnectionClosedOK(Close(1000, ""), Close(1000, ""), rcvd_then_sent=True))


@pytest.fixture(scope="session")
def connect_in_memory() -> Callable[[pytest.MonkeyPatch], None]:
    """Has both clients reach the reference server, whatever they dial, without a socket: on a virtual clock too."""
    serving: set[asyncio.Task[None]] = set()

    async def open_websocket(url: str, **_settings: object) -> End:
        pipe = Pipe()
        task = asyncio.create_task(serve(url, pipe))
        serving.add(task)
        task.add_done_callback(serving.discard)
        return End(pipe, pipe.to_client, pipe.to_server)

    def patch(monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("client.realtime.open_websocket", open_websocket)
        monkeypatch.setattr("client.endpoint.open_websocket", open_websocket)

    return patch


@pytest.fixture
def reference_in_memory(
    connect_in_memory: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """For one test."""
    connect_in_memory(monkeypatch)


async def serve(url: str, pipe: Pipe) -> None:
    address = urlsplit(url)
    wire = PATHS[address.path]()
    end = End(pipe, pipe.to_server, pipe.to_client)
    try:
        broken = await converse(end, wire, parse_query(address.query), LoopClock())
    except ConnectionClosed:
        return
    if broken is not None:
        pipe.close(ConnectionClosedError(Close(1011, "the model crashed") if broken.kind == "close" else None, None))


class Parrot:
    """A judge that hears what it was told."""

    name = "parrot"
    version = "1"

    def __init__(self, words: str) -> None:
        self._words = words

    def transcribe(self, samples_16k: FloatArray, language: str) -> str:
        assert samples_16k.ndim == 1
        return self._words


@pytest.fixture(scope="session")
def parrot() -> type[Parrot]:
    """`parrot(words)`: a judge that hears these words in everything."""
    return Parrot


@pytest.fixture(scope="session")
def reported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of five turns in three languages: one answer each, a cut-in that cracks, and a turn without an answer."""
    folder = tmp_path_factory.mktemp("run")
    languages = ("en", "zh", "ko")
    header = RunHeader(
        "realtime",
        "embedded",
        "synthetic",
        "2026-11-22T12:00:00+00:00",
        languages=languages,
        endpoint="ws://127.0.0.1:9/v1/realtime",
        machine={"cores": "2"},
        lm={"en": "smollm2", "zh": "echo", "ko": "echo"},
        judge="parrot 1",
        judge_is_engine=True,
    )
    rows: list[TurnRow] = []
    with ResultsWriter(folder, header) as writer:
        for index, fixture in enumerate(available("synthetic", languages)[:5]):
            end_s = (fixture.speech_end or 0) / fixture.rate_hz
            made = Recording(fixture.id, fixture.language, "realtime", 0.02, end_s, spoken=fixture.transcript)
            made.heard = "<script>alert(1)</script>"
            pcm = float_to_pcm16(read(fixture, 24_000))
            if index == 3:
                pcm = (40 * np.frombuffer(pcm, "<i2").astype(np.int64)).astype("<i2").tobytes()  # wraps around
            at_s = end_s + (-0.5 if index == 3 else 1.0)
            made.chunks = [] if index == 4 else [Chunk(at_s, pcm[:9_600]), Chunk(at_s + 0.1, pcm[9_600:])]
            made.error = "closed & gone: \0\ud800" if index == 4 else None
            made.trace = {"pause_s": end_s + 0.2, "committed_s": end_s + 0.3, "first_sent_s": end_s + 0.9}
            rows.append(writer.add_turn(score_turn(made, fixture, Parrot(fixture.transcript)), made, fixture.path))
        writer.add_verdicts(gates.decide(gates.load(), header, rows))
    reports.write_all(folder)
    return folder


@pytest.fixture
def own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No recordings but those that the test puts into its own folder `cache`."""
    monkeypatch.setattr("platformdirs.user_cache_dir", lambda *_: str(tmp_path / "cache"))
    monkeypatch.delenv("S2S_FIXTURES_MIRROR", raising=False)
