"""What one caller, and all of them, may ask of the server. Each limit has a name, under which /metrics counts its hits.
What whoever hits one is told stands in docs/operating.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Limit(StrEnum):
    SESSIONS = "sessions"
    SESSIONS_PER_TOKEN = "sessions_per_token"  # noqa: S105 -- the name of a limit
    PENDING = "pending"
    HANDSHAKE = "handshake"
    REQUEST = "request"
    FRAME = "frame"
    FRAMES = "frames"
    EVENT = "event"
    EVENTS = "events"
    ITEMS = "items"
    TOOLS = "tools"
    RESPONSES = "responses"
    UNCOMMITTED = "uncommitted"
    AUDIO_AHEAD = "audio_ahead"
    IDLE = "idle"
    DURATION = "duration"
    SLOW_READER = "slow_reader"


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds, bytes and counts.

    Attributes:
        sessions: conversations at once; None for as many as the engine says that this machine can carry.
        sessions_per_token: of them, with one token; None for all.
        handshake_s: from the TCP connection to the end of the upgrade.
        request_bytes: of a request, line and headers together: the library takes 128 headers of 8 KiB each, and keeps
            them for whoever never ends the last one.
        pending: connections that have not come to the end of their upgrade; one more cuts the oldest of them.
        frame_bytes: of one message. The default is base64 of the longest turn, a minute, of PCM16 at 24 kHz.
        frames_per_s: of websocket frames of any kind, in the long run: two and a half milliseconds of audio in each
            are few, and the pings of a client count too.
        frames_at_once: beyond that: a recording of a minute and a half comes in as many, of 20 ms each.
        waiting_frames: that wait for a busy conversation before their sender is made to wait.
        waiting_bytes: of these, before their sender is made to wait.
        event_bytes: of one event that carries no audio.
        event_parts: values that one event consists of: to read 250 KB of empty lists takes a hundred times as long as
            to read as much text.
        events_per_s: that carry no audio, in the long run; each 4 KiB of one counts as another.
        events_at_once: beyond that: a conversation from before is written back in as many.
        refused_events: for that, before the connection is closed.
        items: of a conversation, as the client sees it.
        items_bytes: of them, as the client wrote them.
        unsent_bytes: that wait for a slow reader before its own conversation is made to wait.
        slow_reader_s: for which a client may take nothing while something waits for it.
        audio_ahead_s: by which a client's audio may be faster than the clock, beyond one longest turn, which may come
            at once: a recording is uploaded, not spoken.
        refused_audio_s: of audio that is refused for that before the connection is closed.
        idle_s: without any message of the client.
        duration_s: of a session.
    """

    sessions: int | None = None
    sessions_per_token: int | None = None
    pending: int = 256
    handshake_s: float = 10.0
    request_bytes: int = 2**15
    frame_bytes: int = 4 * 2**20
    frames_per_s: float = 400.0
    frames_at_once: int = 5_000
    waiting_frames: int = 8
    waiting_bytes: int = 2**20
    event_bytes: int = 2**18
    event_parts: int = 10_000
    events_per_s: float = 20.0
    events_at_once: int = 500
    refused_events: int = 100
    items: int = 500
    items_bytes: int = 2**20
    unsent_bytes: int = 2**16
    slow_reader_s: float = 30.0
    audio_ahead_s: float = 30.0
    refused_audio_s: float = 30.0
    idle_s: float = 10 * 60.0
    duration_s: float = 60 * 60.0


class LimitError(Exception):
    """A caller has hit a limit, and the connection ends.

    Attributes:
        limit: which.
        code: that a Realtime client is told.
    """

    def __init__(self, limit: Limit, message: str, *, code: str) -> None:
        super().__init__(message)
        self.limit = limit
        self.code = code


class TooFastError(LimitError):
    """This much is too far ahead of the clock, and is refused. Where the protocol can say so, nothing else happens."""

    CODE = "rate_limit_exceeded"

    def __init__(self, limit: Limit, message: str) -> None:
        super().__init__(limit, message, code=self.CODE)


LIMIT_OF_ERROR = {
    "event_too_large": Limit.EVENT,
    "too_many_tools": Limit.TOOLS,
    "too_many_responses": Limit.RESPONSES,
    "input_audio_buffer_full": Limit.UNCOMMITTED,
}
"""By the code of an error that a Realtime client is told, and lives on with."""
