"""From probabilities of speech to the events of a turn. Pure state: no models, no clock but the samples themselves."""

from __future__ import annotations

import math
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
class Speaking:
    """The turn goes on."""


@dataclass(frozen=True, slots=True)
class Fading:
    """The turn goes on, but of late so softly that this may be the last word, dying away since `end_s`."""

    end_s: float


@dataclass(frozen=True, slots=True)
class Silence:
    """Nothing but silence since `end_s`, for `silence_s` now: perhaps the end of the turn.

    `stirs` says that the last frame of it may be the first of speech, which is known two frames later.
    """

    end_s: float
    silence_s: float
    stirs: bool = False


@dataclass(frozen=True, slots=True)
class Resumed:
    """The speaker went on: what was made of the silence, or of what faded, is void."""


@dataclass(frozen=True, slots=True)
class TooLong:
    """A turn too long to be waited for."""

    end_s: float


Step: TypeAlias = Onset | Speaking | Fading | Silence | Resumed | TooLong

_DIES_AWAY_S = 0.3
"""What is soft for longer is somebody who speaks softly."""


class _State(Enum):
    SILENCE = auto()
    SPEECH = auto()
    PAUSE = auto()


class TurnDetector:
    """Follows one caller frame by frame. Times are seconds on the input's sample clock.

    Attributes:
        settings: in force from the next frame on.
    """

    def __init__(self, settings: TurnProfile) -> None:
        self.settings = settings
        self._state = _State.SILENCE
        self._now_s = 0.0
        self._run_s = 0.0
        """Unbroken speech (in SILENCE and PAUSE) or silence (in SPEECH) just before now."""
        self._start_s = 0.0
        self._end_s = 0.0
        self._stirs = False
        self._faded_s = 0.0
        """How long everything just before now has been soft, silence left out."""
        self._fades = False
        self._level_db = -math.inf
        self._loudest_db = -math.inf

    @property
    def lasted_s(self) -> float:
        """Since the onset, silence at the end left out."""
        return self._end_s - self._start_s

    @property
    def silence(self) -> Silence | None:
        """The pause that goes on just now, if any."""
        if self._state is not _State.PAUSE or self._run_s > 0.0:
            return None
        return Silence(self._end_s, self._now_s - self._end_s, self._stirs)

    def push(self, probability: float, level_db: float) -> Step | None:
        """Take in the next frame of 512 samples at 16 kHz: the probability of speech in it, and its level in dBFS.

        None outside of turns, and in a pause while it is not clear whether somebody speaks.
        """
        self._now_s += FRAME_S
        rises = level_db >= self._level_db + self.settings.stir_db
        self._stirs = rises or probability >= self.settings.stir_threshold
        self._level_db = level_db
        is_speech = probability >= self.settings.speech_threshold
        is_silence = probability < self.settings.silence_threshold
        match self._state:
            case _State.SILENCE:
                return self._in_silence(is_speech, is_silence)
            case _State.SPEECH:
                return self._in_speech(is_speech, is_silence)
            case _State.PAUSE:
                return self._in_pause(is_speech, is_silence)

    def end_turn(self) -> None:
        """The turn was decided to be over: wait for the next onset."""
        self._enter(_State.SILENCE)

    def _enter(self, state: _State) -> None:
        self._state = state
        self._run_s = self._faded_s = 0.0
        self._fades = False

    def _speech_lasts(self, is_speech: bool, is_silence: bool) -> bool:
        if is_speech:
            self._run_s += FRAME_S
        elif is_silence:
            self._run_s = 0.0
        return self._run_s >= self.settings.onset_s

    def _in_silence(self, is_speech: bool, is_silence: bool) -> Step | None:
        if not self._speech_lasts(is_speech, is_silence):
            return None
        self._start_s = self._now_s - self._run_s
        self._end_s = self._now_s
        self._loudest_db = self._level_db
        self._enter(_State.SPEECH)
        return Onset(self._start_s)

    def _in_speech(self, is_speech: bool, is_silence: bool) -> Step:
        if self._now_s - self._start_s >= self.settings.longest_turn_s:
            return TooLong(self._now_s)
        if is_speech:
            self._loudest_db = max(self._loudest_db, self._level_db)
            # The detector calls breath and reverberation speech for a while after the last word.
            if self._level_db >= self._loudest_db - self.settings.fading_db:
                self._end_s = self._now_s
            self._run_s = 0.0
        elif is_silence:
            self._run_s += FRAME_S
        if self._run_s >= self.settings.pause_s:
            self._enter(_State.PAUSE)
            return Silence(self._end_s, self._now_s - self._end_s, self._stirs)
        if self._level_db >= self._loudest_db - self.settings.faded_db:
            self._faded_s = 0.0
        elif not is_silence:
            self._faded_s += FRAME_S
        faded_for_s = self._faded_s - self.settings.faded_s
        faded_before, self._fades = self._fades, 0.0 <= faded_for_s < _DIES_AWAY_S
        if self._fades:
            return Fading(self._end_s)
        return Resumed() if faded_before else Speaking()

    def _in_pause(self, is_speech: bool, is_silence: bool) -> Step | None:
        if self._speech_lasts(is_speech, is_silence):
            self._end_s = self._now_s
            self._enter(_State.SPEECH)
            return Resumed()
        return self.silence
