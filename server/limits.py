"""What one caller, and all of them, may ask of the server. Each limit has a name, under which /metrics counts its hits.

| name | field | whoever hits it |
|---|---|---|
| `sessions` | `sessions` | is answered 503 with `Retry-After`, before the upgrade |
| `sessions_per_token` | `sessions_per_token` | is answered 503 with `Retry-After`, before the upgrade |
| `handshake` | `handshake_s` | is cut |
| `frame` | `frame_bytes` | is closed with 1009 |
| `audio_ahead` | `audio_ahead_s`, `refused_audio_s` | Realtime: `rate_limit_exceeded`, then 1008; `/ws`: 1008 at once |
| `idle` | `idle_s` | is closed with 1001; Realtime tells `session_idle` first |
| `duration` | `duration_s` | is closed with 1001; Realtime tells `session_expired` first |
| `slow_reader` | `slow_reader_s` | is cut |
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Limit(StrEnum):
    SESSIONS = "sessions"
    SESSIONS_PER_TOKEN = "sessions_per_token"  # noqa: S105 -- the name of a limit
    HANDSHAKE = "handshake"
    FRAME = "frame"
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
        frame_bytes: of one message. The default is base64 of a minute and a half of PCM16 at 24 kHz.
        waiting_frames: that wait for a busy conversation before their sender is made to wait.
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
    handshake_s: float = 10.0
    frame_bytes: int = 8 * 2**20
    waiting_frames: int = 8
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
    """This audio is too far ahead of the clock, and is refused. Where the protocol can say so, nothing else happens."""

    CODE = "rate_limit_exceeded"

    def __init__(self, message: str) -> None:
        super().__init__(Limit.AUDIO_AHEAD, message, code=self.CODE)
