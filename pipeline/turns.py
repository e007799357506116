"""From probabilities of speech to the events of a turn. Pure state: no models, no clock but the samples themselves."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from typing import TypeAlias

from pipeline.profiles import TurnProfile
from pipeline.vad import FRAME_S


@dataclass(frozen=True, slots=True)
class Onset:
    """Somebody began to speak at `start_s`."""

    start_s: float


@dataclass(frozen=True, slots=True)
class Pause:
    """Nothing but silence since `end_s`: perhaps the end of the turn.

    Told after `pause_s`, and while it lasts again from `ask_s` on, each `recheck_s`.
    """

    end_s: float
    silence_s: float


@dataclass(frozen=True, slots=True)
class Resumed:
    """The speaker went on: what was made of the pause is void."""


@dataclass(frozen=True, slots=True)
class LimitReached:
    """Silence since `end_s`, too long to be anything but the end; or a turn too long to be waited for."""

    end_s: float


Step: TypeAlias = Onset | Pause | Resumed | LimitReached


class _State(Enum):
    SILENCE = auto()
    SPEECH = auto()
    PAUSE = auto()


class TurnDetector:
    """Follows one caller frame by frame. Times are seconds on the input's sample clock."""

    def __init__(self, settings: TurnProfile) -> None:
        self._settings = settings
        self._state = _State.SILENCE
        self._now_s = 0.0
        self._run_s = 0.0
        """Unbroken speech (in SILENCE and PAUSE) or silence (in SPEECH) just before now."""
        self._start_s = 0.0
        self._end_s = 0.0
        self._next_check_s = 0.0

    def push(self, probability: float, silence_limit_s: float) -> Step | None:
        """Take in the next frame of 512 samples at 16 kHz; at most one thing happens in it."""
        self._now_s += FRAME_S
        is_speech = probability >= self._settings.speech_threshold
        is_silence = probability < self._settings.silence_threshold
        match self._state:
            case _State.SILENCE:
                return self._in_silence(is_speech, is_silence)
            case _State.SPEECH:
                return self._in_speech(is_speech, is_silence, silence_limit_s)
            case _State.PAUSE:
                return self._in_pause(is_speech, is_silence, silence_limit_s)

    def end_turn(self) -> None:
        """The turn was decided to be over: wait for the next onset."""
        self._enter(_State.SILENCE)

    def _enter(self, state: _State) -> None:
        self._state = state
        self._run_s = 0.0

    def _speech_lasts(self, is_speech: bool, is_silence: bool) -> bool:
        if is_speech:
            self._run_s += FRAME_S
        elif is_silence:
            self._run_s = 0.0
        return self._run_s >= self._settings.onset_s

    def _in_silence(self, is_speech: bool, is_silence: bool) -> Step | None:
        if not self._speech_lasts(is_speech, is_silence):
            return None
        self._start_s = self._now_s - self._run_s
        self._end_s = self._now_s
        self._enter(_State.SPEECH)
        return Onset(self._start_s)

    def _in_speech(self, is_speech: bool, is_silence: bool, silence_limit_s: float) -> Step | None:
        if self._now_s - self._start_s >= self._settings.longest_turn_s:
            return LimitReached(self._now_s)
        if is_speech:
            self._end_s = self._now_s
            self._run_s = 0.0
        elif is_silence:
            self._run_s += FRAME_S
        pause_s = min(self._settings.pause_s, silence_limit_s)
        if self._run_s < pause_s:
            return None
        self._enter(_State.PAUSE)
        self._next_check_s = self._end_s + self._settings.ask_s
        return Pause(self._end_s, self._now_s - self._end_s)

    def _in_pause(self, is_speech: bool, is_silence: bool, silence_limit_s: float) -> Step | None:
        if self._speech_lasts(is_speech, is_silence):
            self._end_s = self._now_s
            self._enter(_State.SPEECH)
            return Resumed()
        silence_s = self._now_s - self._end_s
        if silence_s >= silence_limit_s and self._run_s == 0.0:
            return LimitReached(self._end_s)
        if self._now_s >= self._next_check_s and self._run_s == 0.0:
            self._next_check_s += self._settings.recheck_s
            return Pause(self._end_s, silence_s)
        return None
