"""One caller: audio in, events out, and between them the state machine of turns."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from types import TracebackType
from typing import Self

from pipeline.answering import Answering
from pipeline.asides import Asides
from pipeline.audio import INPUT_RATE_HZ, FloatArray, level_dbfs
from pipeline.backchannels import is_murmur
from pipeline.composing import Composer
from pipeline.echo import WINDOW_S, EchoGuard
from pipeline.end_of_turn import is_over
from pipeline.engine import Engine
from pipeline.errors import AudioBufferFullError, NothingToCommitError, ReplyActiveError
from pipeline.events import Event, IdleTimeout, SpeechStarted, SpeechStopped, TurnCommitted, TurnEmpty
from pipeline.guessing import Guessing
from pipeline.hearing import CallerAudio
from pipeline.history import History
from pipeline.idling import Idleness
from pipeline.languages import Language, likelihoods
from pipeline.listening import Turn
from pipeline.lm.base import Message
from pipeline.outbox import Outbox
from pipeline.replying import Replying
from pipeline.settings import ConversationSettings
from pipeline.stt.base import Transcript
from pipeline.tasks import Tasks
from pipeline.turns import Fading, Onset, Resumed, Silence, Speaking, TooLong, TurnDetector

_OUTBOX_EVENTS = 64
_LEAST_COMMIT_S = 0.1


class Conversation:
    """Use as an async context manager: leaving it cancels everything that is under way and frees it.

    Args:
        clock: seconds, for the time since the last of the caller's audio; None for the event loop's.
    """

    def __init__(
        self,
        engine: Engine,
        settings: ConversationSettings | None = None,
        *,
        clock: Callable[[], float] | None = None,
    ) -> None:
        self._engine = engine
        self._profile = engine.profile
        self._settings = settings or ConversationSettings()
        self._turn_taking = self._settings.turn_taking(self._profile.turns)
        self._loop_time = asyncio.get_running_loop().time
        self._vad = engine.voice_activity()
        self._detector = TurnDetector(self._turn_taking)
        self._audio = CallerAudio(clock or self._loop_time)
        self._echo = EchoGuard(self._loop_time)
        self._tasks = Tasks()
        self._outbox = Outbox(_OUTBOX_EVENTS)
        self._history = History()
        self._replying = Replying(self._history, self._tasks.spawn)
        self._asides = Asides(self._tasks.spawn)
        self._composer = Composer(
            engine, self._history, self._outbox, sample_clock=self.input_position_s, on_sent=self._echo.sent
        )
        self._guessing = Guessing(engine, self._composer, self._replying, self._history, self._tasks.spawn)
        self._answering = Answering(
            self._composer,
            self._replying,
            self._history,
            self._outbox,
            self._tasks.spawn,
            settings=lambda: self.settings,
            is_speaking=lambda: self._turn is not None,
            limit_s=self._profile.language_model.reply_limit_s,
        )
        self._turn: Turn | None = None
        self._turns = 0
        self._idleness = Idleness()
        self._deciding = asyncio.Lock()
        """Held while it is decided where a turn begins or ends, so that what is told of it comes in order."""

    async def __aenter__(self) -> Self:
        await self._tasks.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._tasks.cancel()
        await self._outbox.close()
        await self._tasks.__aexit__(kind, error, traceback)

    async def events(self) -> AsyncIterator[Event]:
        """What happens, as it happens, for one consumer; ends when the conversation is left."""
        while (event := await self._outbox.get()) is not None:
            yield event

    @property
    def settings(self) -> ConversationSettings:
        """In force; assign others to change them."""
        return self._settings

    @settings.setter
    def settings(self, settings: ConversationSettings) -> None:
        self._settings = settings
        self._turn_taking = self._detector.settings = settings.turn_taking(self._profile.turns)

    @property
    def reply_active(self) -> bool:
        return self._replying.active

    @property
    def active_reply(self) -> int | None:
        """The number of the conversation's own reply that is under way, if any is."""
        return self._replying.number

    @property
    def active_replies(self) -> set[int]:
        """The numbers of all replies that are under way, the conversation's own and those beside it."""
        own = self.active_reply
        return {*self._asides, *([] if own is None else [own])}

    def input_position_s(self) -> float:
        """Now, on the input's sample clock."""
        return self._audio.clock.now_s()

    async def feed(self, samples_16k: FloatArray) -> None:
        """Take in the caller's next audio: float32 mono, shape (samples,), 16 kHz, any length.

        Raises:
            AudioBufferFullError: push to talk, and more uncommitted audio than a turn may hold; this audio is not kept.
        """
        if not self.settings.detect_turns and self._audio.uncommitted_s > self._turn_taking.longest_turn_s:
            raise AudioBufferFullError(
                f"{self._audio.uncommitted_s:.0f} s of audio are waiting for a commit, and a turn holds "
                f"{self._turn_taking.longest_turn_s:.0f} s; commit or clear first"
            )
        for frame in self._audio.take(samples_16k):
            async with self._deciding:
                await self._listen(frame)
        if self._turn is None and self.settings.detect_turns:
            kept_s = max(self._turn_taking.prefix_s + self._turn_taking.onset_s * 2, WINDOW_S)
            self._audio.window.forget_before(self._audio.window.end_s - kept_s)

    async def commit(self) -> None:
        """End the turn now, whoever decides on turns.

        Raises:
            NothingToCommitError: no audio since the last turn, or too little to be speech.
        """
        async with self._deciding:
            if self._turn is None:
                if self.settings.detect_turns or self._audio.uncommitted_s < _LEAST_COMMIT_S:
                    raise NothingToCommitError(
                        f"{max(0.0, self._audio.uncommitted_s) * 1000:.0f} ms of uncommitted audio, and at least "
                        f"{_LEAST_COMMIT_S * 1000:.0f} ms of it must be there; append audio before committing"
                    )
                self._turn = self._open_turn(self._audio.uncommitted_from_s)
            await self._commit(self._turn, self._audio.window.end_s)

    async def clear(self) -> None:
        """Forget the audio that has not been committed."""
        async with self._deciding:
            self._drop_turn()
            self._audio.commit()
            self._audio.window.forget_before(self._audio.window.end_s)

    def add_message(self, message: Message, *, after: int | None = None) -> int:
        """Put something into the history as if it had been said; returns its number there.

        Args:
            after: the number of the message before it; 0 is the begin, None the end.
        """
        return self._history.add(message, after=after)

    def forget_message(self, message: int) -> None:
        """Take something out of the history as if it had never been said."""
        self._history.remove(message)

    def truncate_message(self, message: int, heard: str) -> None:
        """Keep of a reply in the history only what the caller says to have heard."""
        self._replying.truncate(message, heard)

    async def respond(
        self,
        settings: ConversationSettings | None = None,
        *,
        context: Sequence[Message | int] | None = None,
        aside: bool = False,
    ) -> int:
        """Reply to the history as it stands, once every committed turn is in it. Returns when the reply has begun.

        Args:
            settings: of this reply alone; None for those of the conversation.
            context: what to reply to, in place of the history; a number stands for a message there.
            aside: beside the conversation: it leaves nothing in the history, and may go on together with other replies.

        Returns: the number of the reply.

        Raises:
            ReplyActiveError: a reply is under way, and this one is not to be beside it.
            TooManyAsidesError: too many are beside the conversation.
        """
        settings = settings or self.settings
        await self._answering.settled()
        messages = None if context is None else self._history.resolved(context)
        if aside:
            return self._asides.begin(self._composer.reply(settings, self._answering.language, None, context=messages))
        if self.reply_active:
            raise ReplyActiveError("a reply is under way; cancel it or wait for its end")
        self._guessing.drop()
        return self._answering.reply(settings, messages)

    async def cancel_reply(self, reply: int | None = None) -> None:
        """End a reply that is under way, by default the conversation's own: nothing of it comes any more but its
        `ReplyDone`."""
        if reply is not None and reply in self._asides:
            await self._asides.cancel(reply)
        elif self.reply_active and reply in (None, self._replying.number):
            await self._replying.cancel()
            async with self._deciding:
                if self._turn is not None and self._turn.overlaps:
                    await self._interrupt(self._turn)  # there is nothing left that a murmur could let go on

    async def _listen(self, frame_16k: FloatArray) -> None:
        probability = self._vad.probability(frame_16k)
        if probability >= self._turn_taking.speech_threshold and self._hears_itself():
            probability = 0.0
        step = self._detector.push(probability, level_dbfs(frame_16k))
        if not self.settings.detect_turns and (self._turn is None or self._turn.overlaps):
            self._drop_turn()
            return
        match step:
            case Onset(start_s):
                await self._begin_turn(start_s)
            case Speaking() if self._turn is not None:
                self._turn.go_on()
                if self._turn.overlaps and self._detector.lasted_s >= self._turn_taking.interrupt_s:
                    await self._interrupt(self._turn)
            case Fading(end_s) if self._turn is not None and self.settings.detect_turns:
                self._turn.fade(end_s)
            case Silence() if self._turn is not None:
                await self._consider(self._turn, step)
            case Resumed() if self._turn is not None:
                self._guessing.drop()
                self._turn.resume()
            case TooLong(end_s) if self._turn is not None and self.settings.detect_turns:
                await self._commit(self._turn, end_s)
        if self._turn is None and self.settings.interrupt:
            self._hold_while(probability >= self._turn_taking.speech_threshold)
        await self._be_idle()

    def _hold_while(self, may_be_speech: bool) -> None:
        """Until it is clear whether somebody speaks, which takes a few frames, the reply pauses: what is sent meanwhile
        would be heard by a caller who interrupts. Of so short a pause nothing is heard."""
        if may_be_speech and self._replying.is_heard:
            self._replying.hold_briefly()
        else:
            self._replying.go_on()

    async def _be_idle(self) -> None:
        """After a silence that is too long by the settings the next reply comes unasked."""
        limit_s = self.settings.idle_timeout_s
        replying = self._replying.active or self._replying.is_heard or not self._answering.idle
        now_s = self._audio.window.end_s
        lasted_s = self._idleness.lasted_s(now_s, busy=replying or self._turn is not None)
        if limit_s is None or lasted_s < limit_s or not self._replying.has_replied:
            return
        self._turns += 1
        self._audio.commit()
        message = self._history.add(Message("user", ""))
        start_s = now_s - lasted_s
        await self._outbox.put(
            IdleTimeout(self._turns, start_s, now_s),
            TurnCommitted(self._turns, start_s, now_s, message),
            TurnEmpty(self._turns),
        )
        self._answering.reply(self.settings)

    def _hears_itself(self) -> bool:
        return self._echo.explains(self._audio.window.since(self._audio.window.end_s - WINDOW_S))

    async def _begin_turn(self, start_s: float) -> None:
        self._turn = self._open_turn(start_s)
        if self.settings.interrupt and self._replying.is_heard:
            # It may be no more than a sign that somebody listens; until that is clear, the reply pauses.
            self._turn.overlaps = True
            self._replying.hold()
            return
        if self.settings.interrupt:
            await self._answering.put_off()
        await self._tell_begun(self._turn)

    def _open_turn(self, start_s: float) -> Turn:
        self._turns += 1
        return Turn(
            self._turns,
            start_s,
            engine=self._engine,
            settings=self._turn_taking,
            audio=self._audio.window,
            audio_from_s=max(start_s - self._turn_taking.prefix_s, self._audio.committed_until_s),
            likelihoods=self._likelihoods,
            sample_clock=self.input_position_s,
            spawn=self._tasks.spawn,
            on_news=self._learn,
            on_partial=self._prepare,
        )

    def _likelihoods(self, seconds: float) -> Mapping[Language, float]:
        return likelihoods(self.settings.languages, self._answering.spoken, seconds)

    def _learn(self, turn: Turn) -> None:
        """Something has been understood in a pause that goes on."""
        if turn is self._turn and not self._tasks.cancelled:
            self._make_guess(turn)
            self._tasks.spawn(self._reconsider(turn))

    async def _reconsider(self, turn: Turn) -> None:
        async with self._deciding:
            silence = self._detector.silence
            if turn is self._turn and silence is not None:
                await self._consider(turn, silence)

    async def _consider(self, turn: Turn, silence: Silence) -> None:
        """In a pause: has enough been said, and enough silence been kept, for the turn to be over?"""
        if not self.settings.detect_turns:
            return
        limit_s = self.settings.silence_limit_s
        needed_s = turn.pause(silence.end_s, silence.silence_s, ask=limit_s is None)
        transcript = turn.transcript
        if turn.overlaps and transcript is None and silence.silence_s < self._turn_taking.longest_wait_s:
            return  # whatever silence is enough, the reply is not ended by a sound that is not understood yet
        if turn.overlaps and transcript is not None:
            if is_murmur(transcript, self._detector.lasted_s, self._turn_taking):
                self._drop_turn()
                return
            await self._interrupt(turn)
            self._make_guess(turn)
        over = is_over(self._turn_taking, silence, needed_s) if limit_s is None else silence.silence_s >= limit_s
        if over:
            await self._commit(turn, silence.end_s)

    async def _interrupt(self, turn: Turn) -> None:
        """The caller means to be heard: the reply ends, and the history keeps of it what the caller has heard."""
        turn.overlaps = False
        await self._replying.cancel()
        self._replying.remember_heard()
        await self._tell_begun(turn)

    async def _tell_begun(self, turn: Turn) -> None:
        turn.told = True
        await self._outbox.put(SpeechStarted(turn.number, turn.start_s, turn.audio_from_s))

    def _drop_turn(self) -> None:
        """There was no turn: nobody is told, and a reply that waited for it goes on, or is made."""
        self._guessing.drop()
        self._replying.go_on()
        if self._turn is not None:
            self._turn.close()
            self._turn = None
        self._detector.end_turn()
        self._answering.make_up()

    def _prepare(self, transcript: Transcript) -> None:
        """Something has been understood while the caller speaks."""
        if self.settings.reply_to_turns and not self._tasks.cancelled:
            self._guessing.prepare(transcript, self.settings)

    def _make_guess(self, turn: Turn) -> None:
        settled = not self._replying.active and self._answering.idle
        if settled and self.settings.reply_to_turns and not turn.overlaps:
            self._guessing.make(turn, self.settings)

    async def _commit(self, turn: Turn, end_s: float) -> None:
        if turn.overlaps:
            await self._interrupt(turn)
        self._turn = None
        self._detector.end_turn()
        if turn.fades:
            self._guessing.drop()  # it is not to all that was said
        guess = self._guessing.take()
        turn.trace.committed_s = self.input_position_s()
        turn.trace.speech_end_s = end_s
        audio_s = turn.samples_16k().size / INPUT_RATE_HZ
        transcribing = turn.end()
        self._audio.commit()
        turn.message = self._history.add(Message("user", ""))
        committed = TurnCommitted(turn.number, turn.start_s, end_s, turn.message)
        stopped = [SpeechStopped(turn.number, end_s)] if turn.told else []
        await self._outbox.put(*stopped, committed)
        self._answering.take(turn, transcribing, audio_s, guess)
