"""The binary protocol of Inference Endpoints, as the original speech-to-speech container spoke it on `/ws`.

All frames are raw PCM: signed 16-bit little-endian, mono, 16 kHz both ways; `DONE` ends a reply. The original answered
each message with at most one frame; here the reply is pushed, paced as a loudspeaker plays it, because the client plays
one frame a sound-card block and opens its microphone at `DONE`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from urllib.parse import parse_qs

import numpy as np
from websockets.asyncio.server import ServerConnection
from websockets.frames import CloseCode

from pipeline.audio import INPUT_RATE_HZ, OUTPUT_RATE_HZ, StreamResampler, float_to_pcm16, pcm16_to_float
from pipeline.conversation import Conversation
from pipeline.engine import Engine
from pipeline.events import ReplyAudio, ReplyDone, ReplyStarted
from pipeline.languages import Language, parse_language
from pipeline.settings import ConversationSettings
from server.call import Call
from server.duplex import converse

DONE = b"DONE"
BLOCK = 512
"""Samples of a frame until the client's own block is known."""
# Frames follow the client's block within these bounds: a block of one sample would cost its neighbours the event loop.
SMALLEST_BLOCK, LARGEST_BLOCK = 32, 4096
CUSHION_S = 0.1
"""How far the server sends ahead of the loudspeaker, against jitter of the network."""
_LEAD_S = 0.4
"""So far ahead of it the reply is taken from the conversation: nobody can interrupt here, so none is taken back."""


@dataclass(frozen=True, slots=True)
class Clock:
    """Time, as far as pacing decides upon it."""

    now: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep


def endpoint_settings(query: str, languages: tuple[Language, ...]) -> ConversationSettings:
    """What the query of the URL asks for: `language` (a code, or `auto`) and `voice`, both optional.

    Raises:
        ValueError: a language that is none of the six.
    """
    asked = parse_qs(query)
    if "language" in asked:
        one = parse_language(asked["language"][0])
        languages = (one,) if one else tuple(Language)
    return ConversationSettings(languages=languages, voice=asked.get("voice", [None])[0], lead_s=_LEAD_S)


async def serve_endpoint(call: Call, engine: Engine, languages: tuple[Language, ...], query: str, clock: Clock) -> None:
    """Hold one conversation until the client leaves, or breaks the protocol and is closed with the reason."""
    async with call.conversation(engine, endpoint_settings(query, languages)) as conversation:
        await EndpointConnection(call, conversation, clock).run()


class EndpointConnection:
    def __init__(self, websocket: ServerConnection, conversation: Conversation, clock: Clock) -> None:
        self._websocket = websocket
        self._conversation = conversation
        self._loudspeaker = Loudspeaker(websocket, clock)

    async def run(self) -> None:
        await converse(self._hear(), self._tell())

    async def _hear(self) -> None:
        async for message in self._websocket:
            if isinstance(message, str):
                await self._websocket.close(
                    CloseCode.UNSUPPORTED_DATA, "text on a binary protocol; send PCM16 mono 16 kHz in binary frames"
                )
                return
            if len(message) % 2:
                await self._websocket.close(
                    CloseCode.INVALID_DATA, f"{len(message)} bytes are not whole PCM16 samples; send an even count"
                )
                return
            # An empty message is a poll of the client, which plays: it adds no audio.
            if message:
                await self._feed(message)

    async def _feed(self, pcm: bytes) -> None:
        samples = pcm16_to_float(pcm)
        self._loudspeaker.block = min(max(len(samples), SMALLEST_BLOCK), LARGEST_BLOCK)
        for start in range(0, len(samples), LARGEST_BLOCK):
            piece = samples[start : start + LARGEST_BLOCK]
            # The original client mutes its microphone while a reply plays. One that does not is heard as silence, so
            # that the reply cannot answer itself and the sample clock stays true.
            await self._conversation.feed(np.zeros_like(piece) if self._loudspeaker.playing else piece)
            # A huge message must not keep the event loop from the other conversations.
            await asyncio.sleep(0)

    async def _tell(self) -> None:
        async for event in self._conversation.events():
            match event:
                case ReplyStarted():
                    self._loudspeaker.begin()
                case ReplyAudio(_, samples_24k):
                    await self._loudspeaker.play(samples_24k)
                case ReplyDone():
                    await self._loudspeaker.finish()


class Loudspeaker:
    """The client's loudspeaker as the server sees it: frames leave when they are due, `DONE` when all has been played.

    Attributes:
        block: samples of the client's sound-card block, which plays one frame whatever its length.
        playing: a frame has been sent and its `DONE` has not.
    """

    def __init__(self, websocket: ServerConnection, clock: Clock) -> None:
        self.block = BLOCK
        self.playing = False
        self._websocket = websocket
        self._clock = clock
        self._played_at_s = clock.now()
        self._waiting = bytearray()
        self.begin()

    def begin(self) -> None:
        self._resampler = StreamResampler(OUTPUT_RATE_HZ, INPUT_RATE_HZ)

    async def play(self, samples_24k: np.ndarray, *, last: bool = False) -> None:
        """Send what fills whole blocks; with `last`, the rest too."""
        self._waiting += float_to_pcm16(self._resampler.push(samples_24k, last=last))
        while len(self._waiting) >= 2 * self.block or (last and self._waiting):
            frame = bytes(self._waiting[: 2 * self.block])
            del self._waiting[: 2 * self.block]
            await self._send_when_due(frame)

    async def finish(self) -> None:
        """Play to the end, then tell `DONE`, which opens the client's microphone. A reply without sound needs none.

        The client may have begun later than it is taken to: it plays from its next block on, and the network may have
        held up the first frame, by no more than the cushion where nothing was to be noticed of it.
        """
        await self.play(np.zeros(0, dtype=np.float32), last=True)
        if self.playing:
            await self._wait_until(self._played_at_s + self._block_s() + CUSHION_S)
            await self._websocket.send(DONE)
            self.playing = False

    async def _send_when_due(self, frame: bytes) -> None:
        await self._wait_until(self._played_at_s - CUSHION_S)
        self.playing = True
        # The one frame that the client would take for the end of the reply: its lowest bit is inaudible.
        await self._websocket.send(b"EONE" if frame == DONE else frame)
        self._played_at_s = max(self._played_at_s, self._clock.now()) + self._block_s()

    def _block_s(self) -> float:
        return self.block / INPUT_RATE_HZ

    async def _wait_until(self, at_s: float) -> None:
        if (wait_s := at_s - self._clock.now()) > 0:
            await self._clock.sleep(wait_s)
