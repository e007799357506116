"""One caller: audio in, events out, and between them the state machine of turns and replies."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from functools import partial
from types import TracebackType
from typing import Any, Literal, Self, TypeVar

import numpy as np

from pipeline.audio import INPUT_RATE_HZ, FloatArray
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
from pipeline.languages import TRAITS, Language
from pipeline.lm.base import Message
from pipeline.outbox import Outbox
from pipeline.reply import Reply, ReplyRequest
from pipeline.stt.base import Transcript
from pipeline.turns import LimitReached, Onset, Pause, Resumed, TurnDetector
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
        silence_limit_s: None for the profile's policy with Smart Turn; a number ends the turn after that much silence.
        speak: False answers in text only.
    """

    languages: tuple[Language, ...] = tuple(Language)
    instructions: str | None = None
    voice: str | None = None
    speed: float = 1.0
    max_reply_tokens: int | None = None
    detect_turns: bool = True
    reply_to_turns: bool = True
    silence_limit_s: float | None = None
    speak: bool = True


@dataclass(frozen=True, slots=True)
class _Guess:
    """A reply begun while the end of its turn is still being decided, and what it took for granted."""

    reply: Reply
    task: asyncio.Task[None]
    settings: ConversationSettings
    remembered: int


@dataclass(slots=True, eq=False)
class _Turn:
    """A turn that is being spoken. What was made of a pause in it is void when the speaker goes on."""

    number: int
    start_s: float
    trace: Trace = field(default_factory=Trace)
    transcription: asyncio.Task[Transcript | None] | None = None
    verdict: asyncio.Task[None] | None = None
    guess: _Guess | None = None

    def void_pause(self) -> None:
        if self.transcription is not None:
            self.transcription.cancel()
        if self.verdict is not None:
            self.verdict.cancel()
        if self.guess is not None:
            self.guess.task.cancel()
        self.transcription = self.verdict = self.guess = None
        self.trace = Trace()


class Conversation:
    """Use as an async context manager: leaving it cancels everything that is under way and frees it."""

    def __init__(
        self,
        engine: Engine,
        settings: ConversationSettings | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.settings = settings or ConversationSettings()
        self._engine = engine
        self._profile = engine.profile
        self._vad = engine.voice_activity()
        self._detector = TurnDetector(self._profile.turns)
        self._sample_clock = SampleClock(clock)
        self._audio = AudioWindow()
        self._partial_frame: FloatArray = np.zeros(0, dtype=np.float32)
        self._committed_until_s = 0.0
        self._outbox = Outbox(_OUTBOX_EVENTS)
        self._history = History()
        self._language = self.settings.languages[0]
        self._turn: _Turn | None = None
        self._turns = 0
        self._reply: tuple[Reply, asyncio.Task[None]] | None = None
        self._replies = 0
        self._finishing: asyncio.Task[None] | None = None
        """The newest committed turn, until its reply has begun; each waits for the one before it."""
        self._tasks = asyncio.TaskGroup()
        self._running: set[asyncio.Task[Any]] = set()

    async def __aenter__(self) -> Self:
        await self._tasks.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._turn = None  # a transcript that arrives just now begins no reply
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
        return self._reply is not None

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
            await self._listen(frame)
        if self._turn is None and self.settings.detect_turns:
            self._audio.forget_before(
                self._audio.end_s - self._profile.turns.prefix_s - self._profile.turns.onset_s * 2
            )

    async def commit(self) -> None:
        """End the turn now, whoever decides on turns.

        Raises:
            NothingToCommitError: no audio since the last turn, or too little to be speech.
        """
        if self._turn is None:
            if self.settings.detect_turns or self._uncommitted_s() < _LEAST_COMMIT_S:
                raise NothingToCommitError(
                    f"{max(0.0, self._uncommitted_s()) * 1000:.0f} ms of uncommitted audio, and at least "
                    f"{_LEAST_COMMIT_S * 1000:.0f} ms of it must be there; append audio before committing"
                )
            self._turn = self._open_turn(self._committed_until_s)
        await self._commit(self._turn, self._audio.end_s)

    def clear(self) -> None:
        """Forget the audio that has not been committed."""
        if self._turn is not None:
            self._turn.void_pause()
            self._turn = None
        self._detector.end_turn()
        self._committed_until_s = self._audio.end_s
        self._audio.forget_before(self._committed_until_s)

    def add_message(self, role: Literal["user", "assistant", "system"], text: str) -> None:
        """Put something into the history as if it had been said."""
        self._history.add(Message(role, text))

    async def respond(self, *, instructions: str | None = None, speak: bool | None = None) -> None:
        """Reply to the history as it stands, once every committed turn is in it. Returns when the reply has begun.

        Raises:
            ReplyActiveError: a reply is under way.
        """
        if self._finishing is not None:
            await asyncio.wait([self._finishing])
        if self._reply is not None:
            raise ReplyActiveError("a reply is under way; cancel it or wait for its end")
        reply = self._compose(None, Trace(), self._language, instructions=instructions, speak=speak)
        self._begin(reply, self._spawn(self._run(reply)))

    async def cancel_reply(self) -> None:
        """End the reply that is under way, if any: nothing of it comes any more but its `ReplyDone`."""
        if self._reply is None:
            return
        reply, task = self._reply
        self._reply = None
        task.cancel()
        await asyncio.wait([task])
        await reply.withdraw()
        self._remember(reply)

    async def _listen(self, frame_16k: FloatArray) -> None:
        limit_s = self.settings.silence_limit_s
        step = self._detector.push(
            self._vad.probability(frame_16k), self._profile.turns.silence_limit_s if limit_s is None else limit_s
        )
        if not self.settings.detect_turns:
            self._detector.end_turn()
            return
        match step:
            case Onset(start_s):
                self._turn = self._open_turn(start_s)
                await self._outbox.put(SpeechStarted(self._turn.number, start_s))
            case Pause() if self._turn is not None:
                self._consider(self._turn, step)
            case Resumed() if self._turn is not None:
                self._turn.void_pause()
            case LimitReached(end_s) if self._turn is not None:
                await self._commit(self._turn, end_s)

    def _open_turn(self, start_s: float) -> _Turn:
        self._turns += 1
        return _Turn(self._turns, start_s)

    def _consider(self, turn: _Turn, pause: Pause) -> None:
        """In a pause: transcribe what may be the whole turn; if it goes on, ask whether it is."""
        samples_16k = self._turn_audio(turn)
        if turn.transcription is None:
            turn.trace.pause_s = self.input_position_s()
            turn.transcription = self._spawn(self._transcribe(turn.trace, samples_16k))
            turn.transcription.add_done_callback(lambda transcription: self._guess(turn, transcription))
        if self.settings.silence_limit_s is not None or pause.silence_s < self._profile.turns.ask_s:
            return
        if turn.verdict is None or turn.verdict.done():
            turn.verdict = self._spawn(self._judge(turn, pause.end_s, samples_16k))

    async def _judge(self, turn: _Turn, end_s: float, samples_16k: FloatArray) -> None:
        try:
            completeness = await self._engine.completeness(samples_16k)
        except Exception:
            log.exception("turn %d: the end-of-turn model failed; the silence limit decides", turn.number)
            return
        if completeness >= self._profile.turns.complete_threshold:
            turn.verdict = None
            await self._commit(turn, end_s)

    async def _transcribe(self, trace: Trace, samples_16k: FloatArray) -> Transcript | None:
        try:
            transcript = await self._engine.transcribe(samples_16k, self.settings.languages)
        except Exception:
            log.exception("the speech to text failed")
            return None
        trace.transcript_s = self.input_position_s()
        return transcript

    def _guess(self, turn: _Turn, transcription: asyncio.Task[Transcript | None]) -> None:
        """Begin the reply to a turn that may be over; it is heard only if the turn is committed."""
        undecided = turn is self._turn and turn.transcription is transcription and not transcription.cancelled()
        settled = self._reply is None and (self._finishing is None or self._finishing.done())
        if not (undecided and settled and self.settings.reply_to_turns):
            return
        if (transcript := transcription.result()) is not None and transcript.text:
            unsaid = [Message("user", transcript.text)]
            reply = self._compose(turn.number, turn.trace, transcript.language, unsaid=unsaid)
            task = self._spawn(self._run(reply))
            turn.guess = _Guess(reply, task, self.settings, len(self._history))

    def _turn_audio(self, turn: _Turn) -> FloatArray:
        return self._audio.since(max(turn.start_s - self._profile.turns.prefix_s, self._committed_until_s))

    def _uncommitted_s(self) -> float:
        return self._audio.end_s - self._committed_until_s

    async def _commit(self, turn: _Turn, end_s: float) -> None:
        if turn is not self._turn:
            return
        self._turn = None
        self._detector.end_turn()
        turn.trace.committed_s = self.input_position_s()
        turn.trace.speech_end_s = end_s
        samples_16k = self._turn_audio(turn)
        if turn.transcription is None:
            turn.transcription = self._spawn(self._transcribe(turn.trace, samples_16k))
        if turn.verdict is not None:
            turn.verdict.cancel()
        self._committed_until_s = self._audio.end_s
        self._audio.forget_before(self._committed_until_s)
        committed = TurnCommitted(turn.number, turn.start_s, end_s)
        audio_s = samples_16k.size / INPUT_RATE_HZ
        self._finishing = self._spawn(self._finish(turn, turn.transcription, audio_s, self._finishing))
        if self.settings.detect_turns:
            await self._outbox.put(SpeechStopped(turn.number, end_s), committed)
        else:
            await self._outbox.put(committed)

    async def _finish(
        self,
        turn: _Turn,
        transcription: asyncio.Task[Transcript | None],
        audio_s: float,
        turn_before: asyncio.Task[None] | None,
    ) -> None:
        """From a committed turn to the begin of its reply, in the order in which the turns were spoken."""
        if turn_before is not None:
            await asyncio.wait([turn_before])
        transcript = await transcription
        if transcript is None:
            reason = "the speech to text failed, and this turn is lost; please say it again"
            await self._outbox.put(TurnFailed(turn.number, "speech_to_text", reason))
            return
        if not transcript.text:
            await self._outbox.put(TurnEmpty(turn.number))
            return
        await self.cancel_reply()
        guess = turn.guess
        if guess is not None and (guess.settings is not self.settings or guess.remembered != len(self._history)):
            guess.task.cancel()
            guess = None
        self._language = transcript.language
        self._history.add(Message("user", transcript.text))
        await self._outbox.put(Transcribed(turn.number, transcript.text, transcript.language, audio_s))
        if guess is not None:
            self._begin(guess.reply, guess.task)
        elif self.settings.reply_to_turns:
            reply = self._compose(turn.number, turn.trace, transcript.language)
            self._begin(reply, self._spawn(self._run(reply)))

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
        limits = self._profile.language_model
        if instructions is None:
            instructions = TRAITS[language].instructions if settings.instructions is None else settings.instructions
        count_tokens = partial(self._engine.count_tokens, language=language)
        messages = self._history.prompt(instructions, limits.history_tokens, count_tokens, unsaid=unsaid)
        self._replies += 1
        request = ReplyRequest(
            number=self._replies,
            turn=turn,
            messages=messages,
            prompt_tokens=sum(count_tokens(message.text) for message in messages),
            language=language,
            voice=self._engine.voice(language, settings.voice),
            speed=settings.speed,
            max_tokens=settings.max_reply_tokens or limits.max_reply_tokens,
            speak=settings.speak if speak is None else speak,
            trace=trace,
        )
        return Reply(request, self._engine, self._outbox, self.input_position_s)

    def _begin(self, reply: Reply, task: asyncio.Task[None]) -> None:
        self._reply = reply, task
        reply.release()

    async def _run(self, reply: Reply) -> None:
        await reply.run()
        self._reply = None
        self._remember(reply)

    def _remember(self, reply: Reply) -> None:
        if reply.text.strip():
            self._history.add(Message("assistant", reply.text.strip()))

    def _spawn(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        task = self._tasks.create_task(work)
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return task
