"""The two protocols as the reference server speaks them, framed by itself."""

from __future__ import annotations

import base64
import json
from typing import Any, Protocol

from harness.reference.behaviour import Behaviour
from harness.reference.script import Audio, Broken, Done, Said, SpeechHeard, Text, Transcript


class Connection(Protocol):
    """A websocket, as far as it is used here."""

    async def recv(self) -> str | bytes: ...

    async def send(self, message: str | bytes) -> None: ...


class Wire(Protocol):
    """One conversation in one protocol."""

    rate_hz: int

    async def open(self, connection: Connection, behaviour: Behaviour) -> None:
        """What is said before any audio."""
        ...

    def sound_in(self, message: str | bytes) -> bytes:
        """The PCM16 of the microphone that a message brings."""
        ...

    def encode(self, said: Said) -> list[str | bytes]:
        """The messages that say it; none for what the protocol has no way to say."""
        ...


class Endpoint:
    """`/ws`: PCM16 at 16 kHz, DONE after a reply. The reply is pushed, unasked."""

    rate_hz = 16_000

    async def open(self, connection: Connection, behaviour: Behaviour) -> None:
        """Nothing is said."""

    def sound_in(self, message: str | bytes) -> bytes:
        return message if isinstance(message, bytes) else b""

    def encode(self, said: Said) -> list[str | bytes]:
        match said:
            case Audio(pcm):
                return [pcm]
            case Done():
                return [b"DONE"]
            case Broken("wrong-frame"):
                return ["a text message"]
        return []


class Realtime:
    """`/v1/realtime`: JSON events, PCM16 at 24 kHz in base64."""

    rate_hz = 24_000

    def __init__(self) -> None:
        self._responses = 0
        self._open = False

    async def open(self, connection: Connection, behaviour: Behaviour) -> None:
        """session.created, and the effective session after the client's session.update."""
        rate_hz = 16_000 if behaviour.breaks == "declared-rate" else self.rate_hz
        audio = {
            "input": {"format": {"type": "audio/pcm", "rate": self.rate_hz}},
            "output": {"format": {"type": "audio/pcm", "rate": rate_hz}},
        }
        session = {"type": "realtime", "id": "sess_reference", "audio": audio}
        await connection.send(_event("session.created", session=session))
        while json.loads(await connection.recv())["type"] != "session.update":
            pass
        await connection.send(_event("session.updated", session=session))

    def sound_in(self, message: str | bytes) -> bytes:
        event = json.loads(message)
        return base64.b64decode(event["audio"]) if event["type"] == "input_audio_buffer.append" else b""

    def encode(self, said: Said) -> list[str | bytes]:
        match said:
            case Transcript(text):
                name = "conversation.item.input_audio_transcription.completed"
                usage = {"type": "duration", "seconds": 0}
                return [_event(name, item_id="item_question", content_index=0, transcript=text, usage=usage)]
            case Text(text):
                return [*self._begin(), self._part("response.output_audio_transcript.delta", delta=text)]
            case Audio(pcm):
                coded = base64.b64encode(pcm).decode("ascii")
                return [*self._begin(), self._part("response.output_audio.delta", delta=coded)]
            case Done(trace, cancelled):
                return [*self._begin(), self._end("cancelled" if cancelled else "completed", trace)]
            case SpeechHeard():
                return [_event("input_audio_buffer.speech_started", item_id="item_question", audio_start_ms=0)]
            case Broken(kind):
                return self._break(kind)

    @property
    def _response_id(self) -> str:
        return f"resp_{self._responses}"

    def _begin(self) -> list[str | bytes]:
        if self._open:
            return []
        self._open = True
        self._responses += 1
        return [_event("response.created", response={"id": self._response_id, "status": "in_progress"})]

    def _end(self, status: str, trace: dict[str, float], **more: Any) -> str:
        self._open = False
        return _event("response.done", response={"id": self._response_id, "status": status, "trace": trace, **more})

    def _part(self, name: str, **more: Any) -> str:
        place = {"response_id": self._response_id, "item_id": "item_reply", "output_index": 0, "content_index": 0}
        return _event(name, **place, **more)

    def _break(self, kind: str) -> list[str | bytes]:
        error = {"type": "server_error", "code": "out_of_memory", "message": "the model ran out of memory"}
        match kind:
            case "not-json":
                return ["{'type': response.done"]
            case "no-type":
                return ["[]"]
            case "not-base64":
                return [self._part("response.output_audio.delta", delta="*** not audio ***")]
            case "wrong-frame":
                return [b"\x01\x02\x03\x04"]
            case "error":
                return [_event("error", error=error)]
            case "failed":
                return [self._end("failed", {}, status_details={"type": "failed", "error": error})]
        return []


def _event(name: str, **fields: Any) -> str:
    return json.dumps({"type": name, "event_id": "event_0", **fields})
