"""A conversation as its operator sees it: how fast its audio comes, whether it owes a reply, what became of turns."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager

from pipeline import Conversation, ConversationSettings, Engine
from pipeline.audio import INPUT_RATE_HZ, OUTPUT_RATE_HZ, FloatArray
from pipeline.events import (
    Event,
    ReplyAudio,
    ReplyDone,
    ReplyStarted,
    Transcribed,
    TurnCommitted,
    TurnEmpty,
    TurnFailed,
)
from pipeline.lm.base import Message
from server.limits import Limit, LimitError, Limits
from server.logs import TURN
from server.metrics import Metrics
from server.pace import Pace
from server.tracing import Tracing

_log = logging.getLogger("server")


class WatchedConversation(Conversation):
    """Everything else is as the pipeline has it."""

    def __init__(
        self,
        engine: Engine,
        settings: ConversationSettings,
        limits: Limits,
        metrics: Metrics,
        tracing: Tracing | None,
    ) -> None:
        super().__init__(engine, settings)
        self._watch = _Watch(self, engine.profile.turns.longest_turn_s, limits, metrics, tracing)

    @property
    def ahead_s(self) -> float:
        """By how much its audio is ahead of the clock."""
        return self._watch.ahead_s

    async def feed(self, samples_16k: FloatArray) -> None:
        self._watch.heard(samples_16k.size / INPUT_RATE_HZ)
        await super().feed(samples_16k)

    async def events(self) -> AsyncIterator[Event]:
        async for event in super().events():
            self._watch.begins(event)
            yield event
            self._watch.told(event)  # whoever consumes the events has done with this one

    async def respond(
        self,
        settings: ConversationSettings | None = None,
        *,
        context: Sequence[Message | int] | None = None,
        aside: bool = False,
    ) -> int:
        with self._watch.asked() as begun:
            reply = await super().respond(settings, context=context, aside=aside)
            begun.add(reply)
            return reply

    async def replied(self) -> None:
        """Wait until no reply is under way, and none is owed to a turn that is over or to whoever has asked for one."""
        await self._watch.replied(self.active_replies)


class _Watch:
    def __init__(
        self,
        conversation: Conversation,
        longest_turn_s: float,
        limits: Limits,
        metrics: Metrics,
        tracing: Tracing | None,
    ) -> None:
        self._conversation = conversation
        self._metrics = metrics
        self._tracing = tracing
        clock = asyncio.get_running_loop().time
        self._pace = Pace(
            Limit.AUDIO_AHEAD,
            most=longest_turn_s + limits.audio_ahead_s,
            per_s=1.0,
            refused=limits.refused_audio_s,
            clock=clock,
            told=("s of audio are", "send in real time"),
        )
        self._owed: set[int] = set()
        """Turns without their reply."""
        self._asked = 0
        """Replies that were asked for, and wait for a turn to be understood before they begin."""
        self._begun: set[int] = set()
        """Replies without their end."""
        self._settled = asyncio.Event()
        self._settled.set()
        self._first_audio_s: float | None = None
        self._sent: Counter[int] = Counter()
        """Samples of each reply without its end."""

    @property
    def ahead_s(self) -> float:
        return self._pace.ahead_s

    def heard(self, seconds: float) -> None:
        try:
            self._pace.take(seconds)
        except LimitError as error:
            self._metrics.limits.labels(error.limit).inc()
            raise

    def begins(self, event: Event) -> None:
        """Somebody is about to be told this."""
        match event:
            case TurnCommitted(turn=turn):
                TURN.set(turn)
                self._owed.add(turn)
                self._settled.clear()
            case ReplyStarted(reply=reply, turn=turn):
                TURN.set(turn)
                self._begun.add(reply)
                self._settled.clear()
            case ReplyAudio() if self._first_audio_s is None:
                self._first_audio_s = self._conversation.input_position_s()

    def told(self, event: Event) -> None:
        match event:
            case Transcribed(turn=turn):
                self._metrics.turns.labels("transcribed").inc()
                if not self._conversation.settings.reply_to_turns:
                    self._settle(turn)
            case TurnEmpty(turn=turn):
                self._metrics.turns.labels("empty").inc()
                self._settle(turn)
            case TurnFailed(turn=turn, stage=stage):
                self._metrics.errors.labels(f"{stage}_failed").inc()
                if stage == "speech_to_text":
                    self._metrics.turns.labels("failed").inc()
                    self._settle(turn)
            case ReplyAudio(reply=reply, samples_24k=samples):
                self._sent[reply] += samples.size
            case ReplyDone():
                self._reply_done(event)

    @contextmanager
    def asked(self) -> Iterator[set[int]]:
        """While a reply is asked for; its number goes into what this gives."""
        self._asked += 1
        self._settled.clear()
        try:
            yield self._begun
        finally:
            self._asked -= 1
            self._check_settled()

    async def replied(self, active: set[int]) -> None:
        if active:
            self._begun |= active  # of which may not have been told yet
            self._settled.clear()
        await self._settled.wait()

    def _reply_done(self, reply: ReplyDone) -> None:
        self._metrics.replies.labels(reply.status).inc()
        self._metrics.stages(reply.trace)
        if self._tracing is not None:
            self._tracing.reply(reply, self._conversation.input_position_s())
        first_s, ended_s = self._first_audio_s, reply.trace.speech_end_s
        self._first_audio_s = None
        sound_s = self._sent.pop(reply.reply, 0) / OUTPUT_RATE_HZ
        if first_s is not None and ended_s is not None:
            self._metrics.first_audio_seconds.observe(max(0.0, first_s - ended_s))
            waited = f", the first of it {first_s - ended_s:.2f} s after the end of speech"
        else:
            waited = ""
        _log.info("reply %s, %.2f s of sound%s", reply.status, sound_s, waited)
        # A turn after which the caller went on speaking is answered with the next.
        self._owed = {turn for turn in self._owed if turn > (reply.turn or 0)}
        self._begun.discard(reply.reply)
        self._check_settled()

    def _settle(self, turn: int | None) -> None:
        self._owed -= {turn}
        self._check_settled()

    def _check_settled(self) -> None:
        if not self._owed and not self._begun and not self._asked:
            self._settled.set()
