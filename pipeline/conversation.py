"""One caller: audio in, events out, and between them the state machine of turns and replies."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import Any, Literal, Self, TypeVar

import numpy as np

from pipeline.audio import INPUT_RATE_HZ, FloatArray, level_dbfs
from pipeline.backchannels import asks_to_stop, is_backchannel
from pipeline.echo import WINDOW_S, EchoGuard
from pipeline.engine import Engine
from pipeline.events import (
    Event,
    SpeechStarted,
    SpeechStopped,
    Trace,
    Transcribed,
    TurnCommitted,
    TurnEmpty,
    TurnFailed,
)
from pipeline.hearing import AudioWindow, SampleClock
from pipeline.history import History
from pipeline.languages import TRAITS, Language, likelihoods
from pipeline.listening import Turn
from pipeline.lm.base import Message
from pipeline.outbox import Outbox
from pipeline.reply import Reply, ReplyRequest
from pipeline.stopping import Stopped
from pipeline.stt.base import Transcript
from pipeline.turns import Onset, Resumed, Silence, Speaking, TooLong, TurnDetector
from pipeline.vad import FRAME_SAMPLES

T = TypeVar("T")

log = logging.getLogger(__name__)

_OUTBOX_EVENTS = 64
_LEAST_COMMIT_S = 0.1


class ConversationError(RuntimeError):
    """Something a caller asked for that cannot be done now."""


class NothingToCommitError(ConversationError):
    """There is no audio since the last turn, or too little to be speech."""


class ReplyActiveError(ConversationError):
    """A reply is under way; cancel it or wait for its end."""


class AudioBufferFullError(ConversationError):
    """More uncommitted audio than a turn may hold."""


@dataclass(frozen=True, slots=True)
class ConversationSettings:
    """How a conversation behaves; assign a new one to change it from the next frame, turn or reply on.

    Attributes:
        languages: one is fixed; among several, the language is heard anew in every turn.
        instructions: the system prompt; None for the language's own.
        voice: a language that lacks it is spoken with its default voice; None for the default everywhere.
        speed: multiplies the tempo of speech.
        max_reply_tokens: None for the profile's.
        detect_turns: False is push to talk: turns end by `commit`.
        reply_to_turns: False transcribes only; replies come by `respond`.
        interrupt: whether a caller who speaks over a reply ends it; otherwise the next reply waits for its end.
        silence_limit_s: None for the profile's policy; a number ends the turn after that much silence.
        speak: False answers in text only.
    """

    languages: tuple[Language, ...] = tuple(Language)
    instructions: str | None = None
    voice: str | None = None
    speed: float = 1.0
    max_reply_tokens: int | None = None
    detect_turns: bool = True
    reply_to_turns: bool = True
    interrupt: bool = True
    silence_limit_s: float | None = None
    speak: bool = True


@dataclass(frozen=True, slots=True)
class _Guess:
    """A reply begun while the end of its turn is still being decided, and what it took for granted."""

    reply: Reply
    task: asyncio.Task[None]
    transcript: Transcript
    settings: ConversationSettings
    history: int


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
        self.settings = settings or ConversationSettings()
        self._engine = engine
        self._profile = engine.profile
        self._loop_time = asyncio.get_running_loop().time
        self._vad = engine.voice_activity()
        self._detector = TurnDetector(self._profile.turns)
        self._sample_clock = SampleClock(clock or self._loop_time)
        self._audio = AudioWindow()
        self._partial_frame: FloatArray = np.zeros(0, dtype=np.float32)
        self._committed_until_s = 0.0
        self._outbox = Outbox(_OUTBOX_EVENTS)
        self._history = History()
        self._language = self.settings.languages[0]
        self._spoken: Language | None = None
        """The language of the newest turn."""
        self._turn: Turn | None = None
        self._turns = 0
        self._owes_reply = False
        """A turn was answered by nothing because the caller went on speaking."""
        self._preparing: asyncio.Task[None] | None = None
        self._guess: _Guess | None = None
        self._reply: Reply | None = None
        """The newest that was released; it may be heard even when all of it has been sent."""
        self._replying: asyncio.Task[None] | None = None
        """It, while it is being made or sent."""
        self._cancelling = asyncio.Lock()
        """Held until the end of a reply that was cancelled has been told."""
        self._reply_message = 0
        self._replies = 0
        self._echo = EchoGuard(self._profile.text_to_speech.lead_s)
        self._deciding = asyncio.Lock()
        """Held while it is decided where a turn begins or ends, so that what is told of it comes in order."""
        self._finishing: asyncio.Task[None] | None = None
        """The newest committed turn, until its reply has begun; each waits for the one before it."""
        self._tasks = asyncio.TaskGroup()
        self._running: set[asyncio.Task[Any]] = set()
        self._left = False

    async def __aenter__(self) -> Self:
        await self._tasks.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._left = True  # what arrives just now begins nothing
        for task in list(self._running):
            task.cancel()
        await self._outbox.close()
        await self._tasks.__aexit__(kind, error, traceback)

    async def events(self) -> AsyncIterator[Event]:
        """What happens, as it happens, for one consumer; ends when the conversation is left."""
        while (event := await self._outbox.get()) is not None:
            yield event

    @property
    def reply_active(self) -> bool:
        return self._replying is not None

    def input_position_s(self) -> float:
        """Now, on the input's sample clock."""
        return self._sample_clock.now_s()

    async def feed(self, samples_16k: FloatArray) -> None:
        """Take in the caller's next audio: float32 mono, shape (samples,), 16 kHz, any length.

        Raises:
            AudioBufferFullError: push to talk, and more uncommitted audio than a turn may hold; this audio is not kept.
        """
        if not self.settings.detect_turns and self._uncommitted_s() > self._profile.turns.longest_turn_s:
            raise AudioBufferFullError(
                f"{self._uncommitted_s():.0f} s of audio are waiting for a commit, and a turn holds "
                f"{self._profile.turns.longest_turn_s:.0f} s; commit or clear first"
            )
        self._sample_clock.advance(samples_16k.size)
        self._audio.append(samples_16k)
        frames = np.concatenate([self._partial_frame, samples_16k])
        whole = frames.size // FRAME_SAMPLES * FRAME_SAMPLES
        self._partial_frame = frames[whole:]
        for frame in frames[:whole].reshape(-1, FRAME_SAMPLES):
            async with self._deciding:
                await self._listen(frame)
        if self._turn is None and self.settings.detect_turns:
            kept_s = max(self._profile.turns.prefix_s + self._profile.turns.onset_s * 2, WINDOW_S)
            self._audio.forget_before(self._audio.end_s - kept_s)

    async def commit(self) -> None:
        """End the turn now, whoever decides on turns.

        Raises:
            NothingToCommitError: no audio since the last turn, or too little to be speech.
        """
        async with self._deciding:
            if self._turn is None:
                if self.settings.detect_turns or self._uncommitted_s() < _LEAST_COMMIT_S:
                    raise NothingToCommitError(
                        f"{max(0.0, self._uncommitted_s()) * 1000:.0f} ms of uncommitted audio, and at least "
                        f"{_LEAST_COMMIT_S * 1000:.0f} ms of it must be there; append audio before committing"
                    )
                self._turn = self._open_turn(self._uncommitted_from_s)
            await self._commit(self._turn, self._audio.end_s)

    async def clear(self) -> None:
        """Forget the audio that has not been committed."""
        async with self._deciding:
            self._drop_turn()
            self._committed_until_s = self._audio.end_s
            self._audio.forget_before(self._committed_until_s)

    def add_message(self, role: Literal["user", "assistant", "system"], text: str) -> int:
        """Put something into the history as if it had been said; returns its number there."""
        return self._history.add(Message(role, text))

    def forget_message(self, message: int) -> None:
        """Take something out of the history as if it had never been said."""
        self._history.remove(message)

    def truncate_message(self, message: int, heard: str) -> None:
        """Keep of a reply in the history only what the caller says to have heard."""
        self._history.amend(message, heard)

    async def respond(self, *, instructions: str | None = None, speak: bool | None = None) -> None:
        """Reply to the history as it stands, once every committed turn is in it. Returns when the reply has begun.

        Raises:
            ReplyActiveError: a reply is under way.
        """
        if self._finishing is not None:
            await asyncio.wait([self._finishing])
        if self.reply_active:
            raise ReplyActiveError("a reply is under way; cancel it or wait for its end")
        self._drop_guess()
        reply = self._compose(None, Trace(), self._language, instructions=instructions, speak=speak)
        self._begin(reply, self._spawn(self._run(reply)))

    async def cancel_reply(self) -> None:
        """End the reply that is under way, if any: nothing of it comes any more but its `ReplyDone`."""
        async with self._cancelling:
            task, reply = self._replying, self._reply
            if task is None or reply is None:
                return
            task.cancel()
            await asyncio.wait([task])
            if task.cancelled():
                await reply.withdraw()
                self._remember_heard()
            self._replying = None

    async def _listen(self, frame_16k: FloatArray) -> None:
        probability = self._vad.probability(frame_16k)
        if probability >= self._profile.turns.speech_threshold and self._hears_itself():
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
                if self._turn.overlaps and self._detector.lasted_s >= self._profile.turns.interrupt_s:
                    await self._interrupt(self._turn)
            case Silence(end_s, silence_s) if self._turn is not None:
                await self._consider(self._turn, end_s, silence_s)
            case Resumed() if self._turn is not None:
                self._drop_guess()
                self._turn.resume()
            case TooLong(end_s) if self._turn is not None and self.settings.detect_turns:
                await self._commit(self._turn, end_s)

    @property
    def _is_heard(self) -> bool:
        """A reply is being played by the caller's loudspeaker, as far as can be told from here."""
        return self._reply is not None and self._reply.playback.ahead_s > 0

    def _hears_itself(self) -> bool:
        return self._echo.explains(self._audio.since(self._audio.end_s - WINDOW_S), self._loop_time())

    async def _begin_turn(self, start_s: float) -> None:
        self._turn = self._open_turn(start_s)
        if self.settings.interrupt and self._is_heard and self._reply is not None:
            # It may be no more than a sign that somebody listens; until that is clear, the reply pauses.
            self._turn.overlaps = True
            self._reply.hold()
            return
        if self.settings.interrupt:
            await self.cancel_reply()  # nothing of it has been heard: the caller had not finished
        await self._tell_begun(self._turn)

    def _open_turn(self, start_s: float) -> Turn:
        self._turns += 1
        return Turn(
            self._turns,
            start_s,
            engine=self._engine,
            audio=self._audio,
            audio_from_s=max(start_s - self._profile.turns.prefix_s, self._committed_until_s),
            likelihoods=self._likelihoods,
            sample_clock=self.input_position_s,
            spawn=self._spawn,
            on_news=self._learn,
            on_partial=self._prepare,
        )

    def _likelihoods(self, seconds: float) -> Mapping[Language, float]:
        return likelihoods(self.settings.languages, self._spoken, seconds)

    def _learn(self, turn: Turn) -> None:
        """Something has been understood in a pause that goes on."""
        if turn is self._turn and not self._left:
            self._make_guess(turn)
            self._spawn(self._reconsider(turn))

    async def _reconsider(self, turn: Turn) -> None:
        async with self._deciding:
            silence = self._detector.silence
            if turn is self._turn and silence is not None:
                await self._consider(turn, silence.end_s, silence.silence_s)

    async def _consider(self, turn: Turn, end_s: float, silence_s: float) -> None:
        """In a pause: has enough been said, and enough silence been kept, for the turn to be over?"""
        if not self.settings.detect_turns:
            return
        limit_s = self.settings.silence_limit_s
        needed_s = turn.pause(end_s, silence_s, ask=limit_s is None)
        transcript = turn.transcript
        if turn.overlaps and transcript is None and silence_s < self._profile.turns.longest_wait_s:
            return  # whatever silence is enough, the reply is not ended by a sound that is not understood yet
        if turn.overlaps and transcript is not None:
            if self._is_murmur(transcript):
                self._drop_turn()
                return
            await self._interrupt(turn)
            self._make_guess(turn)
        if silence_s >= (needed_s if limit_s is None else limit_s):
            await self._commit(turn, end_s)

    def _is_murmur(self, transcript: Transcript) -> bool:
        """Whether it shows no more than that somebody listens. The recogniser finds words in any hum, so in little
        speech it has to be sure of them."""
        turns = self._profile.turns
        unsure = transcript.confidence is not None and transcript.confidence < turns.sure
        if unsure and self._detector.lasted_s < turns.murmur_s:
            return not asks_to_stop(transcript.text)
        return is_backchannel(transcript.text)

    async def _interrupt(self, turn: Turn) -> None:
        """The caller means to be heard: the reply ends, and the history keeps of it what the caller has heard."""
        turn.overlaps = False
        await self.cancel_reply()
        self._remember_heard()
        await self._tell_begun(turn)

    async def _tell_begun(self, turn: Turn) -> None:
        turn.told = True
        await self._outbox.put(SpeechStarted(turn.number, turn.start_s))

    def _drop_turn(self) -> None:
        """There was no turn: nobody is told, and a reply that was held for it goes on."""
        self._drop_guess()
        if self._reply is not None:
            self._reply.go_on()
        if self._turn is not None:
            self._turn.close()
            self._turn = None
        self._detector.end_turn()

    def _prepare(self, transcript: Transcript) -> None:
        """Have the language model read, ahead of time, what has been understood while the caller speaks."""
        idle = self._preparing is None or self._preparing.done()
        if idle and self.settings.reply_to_turns and not self._left:
            messages = self._prompt(transcript.language, None, [Message("user", transcript.text)])
            self._preparing = self._spawn(self._prepare_reply(messages, transcript.language))

    async def _prepare_reply(self, messages: Sequence[Message], language: Language) -> None:
        try:
            await self._engine.prepare_reply(messages, language)
        except Stopped:
            return
        except Exception:
            log.exception("the language model failed at the beginning of a prompt")

    def _make_guess(self, turn: Turn) -> None:
        """Begin the reply to a turn that may be over; it is heard only if the turn is committed."""
        settled = not self.reply_active and (self._finishing is None or self._finishing.done())
        wanted = self.settings.reply_to_turns and not turn.overlaps and self._guess is None
        transcript = turn.transcript
        if not (settled and wanted):
            return
        if transcript is not None and transcript.text:
            unsaid = [Message("user", transcript.text)]
            reply = self._compose(turn.number, turn.trace, transcript.language, unsaid=unsaid)
            task = self._spawn(self._run(reply))
            self._guess = _Guess(reply, task, transcript, self.settings, self._history.version)

    def _drop_guess(self) -> None:
        guess, self._guess = self._guess, None
        if guess is not None:
            guess.task.cancel()

    @property
    def _uncommitted_from_s(self) -> float:
        return max(self._committed_until_s, self._audio.start_s)

    def _uncommitted_s(self) -> float:
        return self._audio.end_s - self._uncommitted_from_s

    async def _commit(self, turn: Turn, end_s: float) -> None:
        if turn.overlaps:
            await self._interrupt(turn)
        self._turn = None
        self._detector.end_turn()
        guess, self._guess = self._guess, None
        turn.trace.committed_s = self.input_position_s()
        turn.trace.speech_end_s = end_s
        audio_s = turn.samples_16k().size / INPUT_RATE_HZ
        transcribing = turn.end()
        self._committed_until_s = self._audio.end_s
        committed = TurnCommitted(turn.number, turn.start_s, end_s)
        stopped = [SpeechStopped(turn.number, end_s)] if turn.told else []
        await self._outbox.put(*stopped, committed)
        self._finishing = self._spawn(self._finish(turn, transcribing, guess, audio_s, self._finishing))

    async def _finish(
        self,
        turn: Turn,
        transcribing: asyncio.Task[None],
        guess: _Guess | None,
        audio_s: float,
        turn_before: asyncio.Task[None] | None,
    ) -> None:
        """From a committed turn to the begin of its reply, in the order in which the turns were spoken."""
        if turn_before is not None:
            await asyncio.wait([turn_before])
        await self._in_time(transcribing)
        if (transcript := turn.transcript) is None:
            reason = "the speech to text failed, and this turn is lost; please say it again"
            await self._nothing_said(TurnFailed(turn.number, "speech_to_text", reason), turn)
            return
        if not transcript.text:
            await self._nothing_said(TurnEmpty(turn.number), turn)
            return
        if self.settings.interrupt:
            await self.cancel_reply()
        elif self._replying is not None:
            await asyncio.wait([self._replying])
            async with self._cancelling:
                pass  # its end has been told
        held = guess is not None and self._holds(guess, transcript)
        self._language = self._spoken = transcript.language
        message = self._history.add(Message("user", transcript.text))
        await self._outbox.put(Transcribed(turn.number, transcript.text, transcript.language, audio_s, message))
        # Whoever speaks again already had not finished; the reply will be to all of it.
        wanted = self.settings.reply_to_turns and self._turn is None
        self._owes_reply = self.settings.reply_to_turns and not wanted
        if guess is not None and held and wanted:
            self._begin(guess.reply, guess.task)
            return
        if guess is not None:
            guess.task.cancel()
        if wanted:
            self._answer(turn)

    async def _nothing_said(self, event: Event, turn: Turn) -> None:
        await self._outbox.put(event)
        if self._owes_reply and self._turn is None:
            self._answer(turn)

    def _answer(self, turn: Turn) -> None:
        reply = self._compose(turn.number, turn.trace, self._language)
        self._begin(reply, self._spawn(self._run(reply)))

    async def _in_time(self, transcribing: asyncio.Task[None]) -> None:
        limit_s = self._profile.language_model.reply_limit_s
        done, _ = await asyncio.wait([transcribing], timeout=limit_s)
        if not done:
            transcribing.cancel()
            log.error("the speech to text took longer than %.0f s", limit_s)

    def _holds(self, guess: _Guess, transcript: Transcript) -> bool:
        """Whether what a guess took for granted has come true."""
        return (
            guess.transcript == transcript
            and guess.settings is self.settings
            and guess.history == self._history.version
        )

    def _prompt(self, language: Language, instructions: str | None, unsaid: Sequence[Message]) -> list[Message]:
        if instructions is None:
            own = self.settings.instructions
            instructions = TRAITS[language].instructions if own is None else own
        budget = self._profile.language_model.history_tokens
        count_tokens = partial(self._engine.count_tokens, language=language)
        return self._history.prompt(instructions, budget, count_tokens, unsaid=unsaid)

    def _compose(
        self,
        turn: int | None,
        trace: Trace,
        language: Language,
        *,
        unsaid: Sequence[Message] = (),
        instructions: str | None = None,
        speak: bool | None = None,
    ) -> Reply:
        settings = self.settings
        messages = self._prompt(language, instructions, unsaid)
        self._replies += 1
        request = ReplyRequest(
            number=self._replies,
            turn=turn,
            messages=messages,
            prompt_tokens=sum(self._engine.count_tokens(message.text, language) for message in messages),
            language=language,
            voice=self._engine.voice(language, settings.voice),
            speed=settings.speed,
            max_tokens=settings.max_reply_tokens or self._profile.language_model.max_reply_tokens,
            speak=settings.speak if speak is None else speak,
            trace=trace,
        )
        return Reply(
            request,
            self._engine,
            self._outbox,
            sample_clock=self.input_position_s,
            on_sent=self._echo.sent,
        )

    def _begin(self, reply: Reply, task: asyncio.Task[None]) -> None:
        self._reply, self._replying = reply, task
        self._owes_reply = False
        self._reply_message = self._history.add(Message("assistant", ""))
        reply.release(self._reply_message)

    async def _run(self, reply: Reply) -> None:
        await reply.run()
        self._replying = None
        self._history.amend(self._reply_message, reply.playback.text.strip())

    def _remember_heard(self) -> None:
        """Keep of the newest reply what the caller has heard of it."""
        if self._reply is not None:
            self._history.amend(self._reply_message, self._reply.playback.heard().strip())
            self._reply = None

    def _spawn(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        task = self._tasks.create_task(work)
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return task
