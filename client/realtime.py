"""A client of the OpenAI Realtime protocol in its GA form: speech in, speech out, as typed events.

Only what a spoken conversation needs is understood; everything else that a server may send is passed over, as the
protocol asks of its clients.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
from collections.abc import AsyncIterator, Callable
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qsl, urlencode

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from client.connection import (
    DisconnectedError,
    UnavailableError,
    disconnection,
    explain_close,
    open_websocket,
    say_nothing,
    split_url,
)
from client.events import Failed, Heard, ReplyAudio, ReplyEnded, ServerEvent, SpeechStarted, SpeechStopped, Spoken

PATH = "/v1/realtime"
RATE_HZ = 24_000
SESSION_TIMEOUT_S = 10.0

_AUDIO_FORMAT = {"type": "audio/pcm", "rate": RATE_HZ}
_DEFAULT_MODEL = "s2s-gate"
_FAR = 1e9
"""No time of a conversation is as far away, in whatever unit."""


class ProtocolError(ValueError):
    """A message of the server that is not what the protocol says it is."""


class RealtimeClient:
    """One conversation; an async context manager.

        async with RealtimeClient("ws://127.0.0.1:8080/v1/realtime", language="fr") as client:
            await client.send(pcm16_24k)
            async for event in client.events(): ...

    Args:
        url: no path, or `/`, becomes /v1/realtime; a missing `model` is filled in, for the servers that ask for one.
        language: a code, or `auto` to have the server detect it.
        token: bearer token.
        wait_s: for how long a server that is still loading (503) is waited for.
        on_wait: told of each such wait.

    Raises (on entering):
        UnavailableError: no connection, or the session was refused.
    """

    def __init__(
        self,
        url: str,
        *,
        language: str = "auto",
        token: str | None = None,
        wait_s: float = 0.0,
        on_wait: Callable[[str], None] = say_nothing,
    ) -> None:
        self.url = realtime_url(url)
        self._language = language
        self._token = token
        self._wait_s = wait_s
        self._on_wait = on_wait
        self._websocket: ClientConnection

    @property
    def full_duplex(self) -> bool:
        """The microphone stays open while a reply is played, and whoever speaks interrupts it."""
        return True

    async def __aenter__(self) -> Self:
        self._websocket = await open_websocket(self.url, token=self._token, wait_s=self._wait_s, on_wait=self._on_wait)
        try:
            async with asyncio.timeout(SESSION_TIMEOUT_S):
                await self._configure()
        except BaseException as error:
            await self._websocket.close()
            if isinstance(error, TimeoutError):
                raise UnavailableError(
                    f"{self.url} left session.update unanswered for {SESSION_TIMEOUT_S:.0f} s; "
                    "is it a Realtime server?",
                    passing=True,
                ) from error
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._websocket.close()

    async def send(self, pcm16: bytes) -> None:
        """Append microphone audio: PCM16 mono, 24 kHz.

        Raises:
            DisconnectedError: the connection is closed; `events` says why.
        """
        await self._send("input_audio_buffer.append", audio=base64.b64encode(pcm16).decode("ascii"))

    async def truncate(self, item: str, heard_ms: int) -> None:
        """Say how much of a reply was heard, of which no more is played.

        Raises:
            DisconnectedError: the connection is closed; `events` says why.
        """
        await self._send("conversation.item.truncate", item_id=item, content_index=0, audio_end_ms=heard_ms)

    async def events(self) -> AsyncIterator[ServerEvent]:
        """What the server says, as it arrives; ends when the connection does. Nothing a server sends makes it raise."""
        while True:
            try:
                said = parse_event(await self._websocket.recv())
            except ProtocolError as error:
                said = [Failed(str(error))]
            except ConnectionClosed as closed:
                if lost := disconnection(closed):
                    yield lost
                return
            for event in said:
                yield event

    async def _send(self, kind: str, **fields: object) -> None:
        try:
            await self._websocket.send(json.dumps({"type": kind, **fields}))
        except ConnectionClosed as closed:
            raise DisconnectedError(explain_close(closed)) from closed

    async def _configure(self) -> None:
        """Say what is spoken, and wait until that holds, so that no audio is heard under other settings."""
        transcription = {} if self._language == "auto" else {"language": self._language}
        session = {
            "type": "realtime",
            "output_modalities": ["audio"],
            "audio": {
                "input": {"format": _AUDIO_FORMAT, "transcription": transcription},
                "output": {"format": _AUDIO_FORMAT},
            },
        }
        try:
            await self._websocket.send(json.dumps({"type": "session.update", "session": session}))
            while (event := decode(await self._websocket.recv()))["type"] != "session.updated":
                if event["type"] == "error":
                    raise UnavailableError(f"{self.url} refused the session: {error_text(event)}")
            if (told := _output_format(event)) not in (None, _AUDIO_FORMAT):
                raise UnavailableError(
                    f"{self.url} will answer in {json.dumps(told)}, not in the {json.dumps(_AUDIO_FORMAT)} that it was "
                    "asked for; see what formats it knows"
                )
        except ProtocolError as error:
            raise UnavailableError(f"{self.url} does not speak the Realtime protocol: {error}") from error
        except ConnectionClosed as closed:
            raise UnavailableError(
                f"{self.url} gave no session ({explain_close(closed)}); see the server's log", passing=True
            ) from closed


def realtime_url(url: str) -> str:
    """The address to dial: the path of the protocol where none is given, and a `model` in the query."""
    parts = split_url(url)
    path = PATH if parts.path in ("", "/") else parts.path
    query = parse_qsl(parts.query, keep_blank_values=True)
    if "model" not in dict(query):
        query.append(("model", _DEFAULT_MODEL))
    return parts._replace(path=path, query=urlencode(query)).geturl()


def decode(message: str | bytes) -> dict[str, Any]:
    """One server message as a JSON object that has a `type` of text.

    Raises:
        ProtocolError: it is anything else.
    """
    if isinstance(message, bytes):
        raise ProtocolError(
            f"a binary message of {len(message)} bytes, but the protocol is JSON text; is this a /ws server?"
        )
    try:
        event = json.loads(message)
    except (ValueError, RecursionError) as error:
        raise ProtocolError(f"a message that is not JSON ({error}): {message[:80]!r}") from error
    if not isinstance(event, dict) or not isinstance(event.get("type"), str):
        raise ProtocolError(f"a message that is not an event with a type: {message[:80]!r}")
    return event


def parse_event(message: str | bytes) -> list[ServerEvent]:
    """What one server message means for a spoken conversation; nothing for those that mean nothing to it.

    Raises:
        ProtocolError: not an event, or one whose fields are not what the protocol says.
    """
    event = decode(message)
    match event["type"]:
        case "response.output_audio.delta":
            item = event.get("item_id")
            return [ReplyAudio(_audio(event), item if isinstance(item, str) else "")]
        case "input_audio_buffer.speech_started":
            return [SpeechStarted()]
        case "input_audio_buffer.speech_stopped":
            return [SpeechStopped(_position_s(event.get("audio_end_ms")))]
        case "response.output_audio_transcript.delta":
            return [Spoken(_text(event, "delta"))]
        case "conversation.item.input_audio_transcription.completed":
            return [Heard(_text(event, "transcript"))]
        case "conversation.item.input_audio_transcription.failed":
            return [Failed(f"the server could not transcribe: {error_text(event)}")]
        case "response.done":
            return _response_done(event)
        case "error":
            return [Failed(f"the server reported an error: {error_text(event)}")]
        case _:
            return []


def error_text(event: dict[str, Any]) -> str:
    """The code and message of an event's `error`, whatever shape it came in."""
    error = event.get("error")
    if not isinstance(error, dict):
        return "without a description"
    said = [str(error[key]) for key in ("code", "message") if error.get(key)]
    return ": ".join(said)[:500] or "without a description"


def _audio(event: dict[str, Any]) -> bytes:
    try:
        return base64.b64decode(_text(event, "delta"), validate=True)
    except (binascii.Error, ValueError) as error:
        raise ProtocolError(f"{event['type']}.delta is not base64 ({error})") from error


def _text(event: dict[str, Any], field: str) -> str:
    value = event.get(field)
    if not isinstance(value, str):
        raise ProtocolError(f"{event['type']}.{field} is {type(value).__name__}, not text")
    return value


def _position_s(milliseconds: object) -> float | None:
    """A place in the audio that was sent; None where the server names none."""
    if isinstance(milliseconds, bool) or not isinstance(milliseconds, int | float) or not abs(milliseconds) < _FAR:
        return None
    return milliseconds / 1000


def _output_format(updated: dict[str, Any]) -> dict[str, Any] | None:
    """Type and rate of the audio that holds after `session.updated`; None where it does not say both."""
    told: Any = updated
    for field in ("session", "audio", "output", "format"):
        told = told.get(field) if isinstance(told, dict) else None
    if not isinstance(told, dict) or not told.keys() >= _AUDIO_FORMAT.keys():
        return None
    return {key: told[key] for key in _AUDIO_FORMAT}


def _response_done(event: dict[str, Any]) -> list[ServerEvent]:
    response = event.get("response")
    if not isinstance(response, dict):
        raise ProtocolError("response.done without its response")
    ended = ReplyEnded(trace=_trace(response.get("trace")), cancelled=response.get("status") == "cancelled")
    if response.get("status") != "failed":
        return [ended]
    details = response.get("status_details")
    return [Failed(f"the reply failed: {error_text(details if isinstance(details, dict) else {})}"), ended]


def _trace(told: object) -> dict[str, float] | None:
    """Our extension: stage -> seconds on the input's sample clock. Stages that never happened (null) are left out."""
    if not isinstance(told, dict):
        return None
    return {
        stage: float(at_s)
        for stage, at_s in told.items()
        if isinstance(at_s, int | float) and not isinstance(at_s, bool) and abs(at_s) < _FAR
    }
