"""One function a parser: takes any bytes, and raises what a fault is.

Whatever the parser is documented to raise is caught here, and nothing else.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import given, settings

from client import realtime as client_realtime
from client.audio import to_pcm16
from client.connection import UnavailableError, split_url
from client.loudspeaker import Loudspeaker
from fuzz.callers import PATHS, STEPS, Step, run
from harness import results
from harness.fixtures.fields import ManifestError
from harness.fixtures.manifest import load_manifest, parse_manifest
from harness.fixtures.scenarios import parse_scenarios
from harness.jsonlines import LineError
from pipeline.audio import AudioFormatError, pcm16_to_float
from pipeline.languages import Language
from pipeline.lm.base import Message
from server.endpoint import endpoint_settings
from server.realtime.connection import named_model
from server.realtime.errors import ProtocolError
from server.realtime.formats import InputStream, OutputStream
from server.realtime.items import Items
from server.realtime.parse import (
    ItemCreate,
    ItemDelete,
    ItemRetrieve,
    ItemTruncate,
    ResponseCreate,
    SessionUpdate,
    parse_event,
)
from server.realtime.session import Pcm, Pcma, Pcmu, Session
from server.tokens import TokenError, Tokens

_LANGUAGES = tuple(Language)


def event(data: bytes) -> None:
    """A client's message, as text where it is UTF-8 and as bytes: an event, or an error that can be told."""
    messages: list[str | bytes] = [data]
    with suppress(UnicodeDecodeError):
        messages.append(data.decode())
    for message in messages:
        try:
            parse_event(message)
        except ProtocolError as error:
            _tellable(error.told())


def session(data: bytes) -> None:
    """Lines of messages, of which every `session.update` and `response.create` is put into force."""
    in_force = Session()
    for message in data.splitlines():
        try:
            understood = parse_event(message)
        except ProtocolError:
            continue
        patch = understood.session if isinstance(understood, SessionUpdate) else None
        if isinstance(understood, ResponseCreate):
            patch = understood.response  # type: ignore[assignment]  # another part, merged in the same way
        if patch is None:
            continue
        with suppress(ValueError):
            in_force = in_force.updated(patch)
        in_force.conversation_settings(_LANGUAGES)
        _tellable(in_force.model_dump())


def items(data: bytes) -> None:
    """Lines of messages, of which those about items are done to a list of items."""
    listed = Items(500, 2**20)
    for message in data.splitlines():
        with suppress(ProtocolError):
            match parse_event(message):
                case ItemCreate(item=item, previous_item_id=after):
                    assert isinstance(item.message(), Message)
                    _tellable(listed.create(item, after)[0].told())
                case ItemDelete(item_id=item_id):
                    listed.delete(item_id)
                case ItemRetrieve(item_id=item_id):
                    _tellable(listed.retrieve(item_id).told())
                case ItemTruncate(item_id=item_id, content_index=index, audio_end_ms=end_ms):
                    listed.truncate(item_id, index, end_ms)


def audio(data: bytes) -> None:
    """Appended audio in each format, in two halves, and back: finite, within range, encodable."""
    text = data.decode("latin-1")
    half = len(text) // 8 * 4
    for form in (Pcm(), Pcmu(type="audio/pcmu"), Pcma(type="audio/pcma")):
        heard, spoken = InputStream(form), OutputStream(form)
        for part in (text[:half], text[half:]):
            with suppress(ProtocolError):
                for samples_16k in heard.push(part):
                    _is_sound(samples_16k)
                    assert all(isinstance(delta, str) for delta in spoken.push(samples_16k))
        _is_sound(heard.flush())
    with suppress(AudioFormatError):
        _is_sound(pcm16_to_float(data))


def query(data: bytes) -> None:
    """The query of a URL, as it comes with a request: any byte."""
    text = data.decode("ascii", "surrogateescape")
    with suppress(ValueError):
        endpoint_settings(text, _LANGUAGES)
    _tellable(named_model(text))


def tokens(data: bytes) -> None:
    """The environment's list and a file of tokens; an error never shows one."""
    text = data.decode("utf-8", "replace")
    for by_file in (False, True):
        try:
            listed = _tokens_of_file(data) if by_file else Tokens(text)
        except TokenError as error:
            _tellable(str(error))
        else:
            assert listed.holder("") is None
            assert listed.holder("\udcff") is None


def _tokens_of_file(data: bytes) -> Tokens:
    with tempfile.NamedTemporaryFile(dir=_MEMORY) as file:
        file.write(data)
        file.flush()
        return Tokens(file=Path(file.name))


def result(data: bytes) -> None:
    """A line of a results file: what is read can be written, and is read as the same."""
    with suppress(LineError, UnicodeDecodeError):
        row = results.from_line(data.decode())
        line = results.to_line(row)
        assert results.to_line(results.from_line(line)) == line


def manifest(data: bytes) -> None:
    """A manifest of recordings."""
    with suppress(ManifestError, UnicodeDecodeError):
        list(parse_manifest(data.decode()))


def scenarios(data: bytes) -> None:
    """A file of scenarios."""
    with suppress(ManifestError, UnicodeDecodeError):
        parse_scenarios(data.decode(), _CLIPS)


def told(data: bytes) -> None:
    """What a server tells our client, on the Realtime protocol."""
    messages: list[str | bytes] = [data]
    with suppress(UnicodeDecodeError):
        messages.append(data.decode())
    for message in messages:
        with suppress(client_realtime.ProtocolError):
            client_realtime.parse_event(message)


def address(data: bytes) -> None:
    """A URL that somebody gives our client."""
    with suppress(UnavailableError, UnicodeDecodeError):
        split_url(client_realtime.realtime_url(data.decode()))


def loudspeaker(data: bytes) -> None:
    """PCM16 on its way to a loudspeaker: finite and within range, whatever came, in pieces of any length."""

    async def play() -> None:
        speaker = Loudspeaker(16_000, 16_000, lambda _note: None)
        for piece in (data[:101], data[101:]):
            speaker.play("reply", piece)
            played = speaker.give(160, 0.0, underflowed=False)
            _is_sound(played)
            to_pcm16(played)

    asyncio.run(play())


@given(steps=STEPS, paths=PATHS)
@settings(deadline=None, database=None)
def _callers(steps: list[tuple[int, Step]], paths: tuple[str, str]) -> None:
    run(steps, paths=paths)


def callers(data: bytes) -> None:
    """Two callers at a whole server, whose steps hypothesis makes of the bytes."""
    _callers.hypothesis.fuzz_one_input(data)  # type: ignore[attr-defined]  # which `given` adds


TARGETS: Mapping[str, Callable[[bytes], None]] = {
    target.__name__: target
    for target in (
        event,
        session,
        items,
        audio,
        query,
        tokens,
        result,
        manifest,
        scenarios,
        told,
        address,
        loudspeaker,
        callers,
    )
}

_CLIPS = {clip.id: clip for clip in load_manifest()}
_MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108 - a file of one fuzzing process


def _tellable(value: Any) -> None:
    """It can be sent."""
    json.dumps(value, ensure_ascii=False, allow_nan=False).encode()


def _is_sound(samples: np.ndarray) -> None:
    assert samples.dtype == np.float32
    assert np.all(np.isfinite(samples))
    assert samples.size == 0 or float(np.abs(samples).max()) <= 1.0
