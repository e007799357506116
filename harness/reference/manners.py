"""The reference server in a conversation of several sounds: it listens for itself, and reacts to each as it is told."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import numpy as np
from websockets.exceptions import ConnectionClosed

from client.play import Clock
from harness.reference.behaviour import Behaviour, Manners, Reaction
from harness.reference.protocols import Connection, Wire
from harness.reference.script import Audio, Done, SpeechHeard, Text, write

LOUD = 0.005
"""A frame with a sample beyond this is a part of a sound."""


class MannerlyServer:
    """One conversation. Its clock is the microphone: what is said and done happens with the frame that is due then."""

    def __init__(self, connection: Connection, wire: Wire, behaviour: Behaviour, clock: Clock) -> None:
        assert behaviour.manners is not None  # noqa: S101 - the caller's to see to
        self._connection = connection
        self._wire = wire
        self._behaviour = behaviour
        self._manners: Manners = behaviour.manners
        self._clock = clock
        self._samples = 0
        self._sounds = 0
        self._loud_until_s: float | None = None  # of the sound under way; None in silence
        self._stops_at_s: float | None = None
        self._speaking: asyncio.Task[None] | None = None
        self._frames: asyncio.Queue[bytes] = asyncio.Queue()

    def hear(self, pcm: bytes) -> None:
        """Take a piece of the microphone's PCM16."""
        if pcm:
            self._frames.put_nowait(pcm)

    async def run(self) -> None:
        """React to what is heard, until the connection closes."""
        try:
            while True:
                await self._react(await self._frames.get())
        except ConnectionClosed:
            return
        finally:
            self._silence()

    async def _react(self, pcm: bytes) -> None:
        samples = np.frombuffer(pcm, dtype="<i2")
        from_s = self._samples / self._wire.rate_hz
        self._samples += samples.size
        now_s = self._samples / self._wire.rate_hz
        if np.abs(samples.astype(np.int64)).max() > LOUD * 32_768:
            if self._loud_until_s is None:
                self._begin(from_s)
            self._loud_until_s = now_s
        if self._stops_at_s is not None and now_s >= self._stops_at_s:
            self._stops_at_s = None
            await self._break_off()
        if self._loud_until_s is not None and now_s >= self._loud_until_s + self._manners.patience_s:
            self._loud_until_s = None
            if self._reaction.answer:
                self._silence()
                self._speaking = asyncio.create_task(self._answer(self._reaction), name="reply")

    @property
    def _reaction(self) -> Reaction:
        """To the last sound that began."""
        number = self._sounds - 1
        return self._manners.reactions[number] if number < len(self._manners.reactions) else Reaction()

    def _begin(self, at_s: float) -> None:
        self._sounds += 1
        if self._reaction.stops_after_s is not None:
            self._stops_at_s = at_s + self._reaction.stops_after_s

    async def _break_off(self) -> None:
        if self._speaking and not self._speaking.done():
            self._silence()
            await self._send(SpeechHeard())
            await self._send(Done({}, cancelled=True))

    def _silence(self) -> None:
        if self._speaking:
            self._speaking.cancel()

    async def _answer(self, reaction: Reaction) -> None:
        """Replies, whose chunks leave when they are due."""
        none = (0.0,) * len(self._behaviour.stages_s)
        behaviour = replace(self._behaviour, spoken=reaction.answer, stages_s=none)
        try:
            for _ in range(reaction.times):
                begun_s = self._clock.now()
                for after_s, said in write(behaviour, self._wire.rate_hz, 0.0):
                    await self._clock.sleep_until(begun_s + after_s)
                    if isinstance(said, Audio | Text | Done):
                        await self._send(said)
        except ConnectionClosed:
            return

    async def _send(self, said: Audio | Text | Done | SpeechHeard) -> None:
        for message in self._wire.encode(said):
            await self._connection.send(message)
