"""What a turn has transcribed at the pause after the last word, and from which draft."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

from benchmarks.last_pause import LastPause, last_pause
from pipeline.audio import INPUT_RATE_HZ, FloatArray
from pipeline.languages import Language
from pipeline.profiles import load_profile
from pipeline.stopping import Stop
from pipeline.stt.base import Transcript

SETTINGS = load_profile("embedded").turns
BEFORE_S = 1.0


class Loudness:
    """Takes whatever is loud for speech. Satisfies `VoiceActivity` and its stream."""

    def stream(self) -> Loudness:
        return self

    def probability(self, frame_16k: FloatArray) -> float:
        return float(np.abs(frame_16k).max() > 0.01)


class Counting:
    """Understands how many tenths of a second it was given, and takes `takes_s` for it, on a clock of its own."""

    def __init__(self, takes_s: float) -> None:
        self._takes_s = takes_s
        self.now_s = 0.0

    def transcribe(
        self,
        samples_16k: FloatArray,
        languages: Mapping[Language, float],
        *,
        draft: Transcript | None,
        quick: bool = True,
        stop: Stop,
    ) -> Transcript:
        self.now_s += self._takes_s
        return Transcript(str(round(10 * samples_16k.size / INPUT_RATE_HZ)), Language.FR)


def noise(seconds: float) -> FloatArray:
    return np.random.default_rng(1).uniform(-0.3, 0.3, round(seconds * INPUT_RATE_HZ)).astype(np.float32)


def silence(seconds: float) -> FloatArray:
    return np.zeros(round(seconds * INPUT_RATE_HZ), np.float32)


def heard(*parts: FloatArray, takes_s: float = 0.15) -> LastPause:
    ears = Counting(takes_s)
    samples_16k = np.concatenate([silence(BEFORE_S), *parts])
    return last_pause(samples_16k, Language.FR, ears, Loudness(), SETTINGS, clock=lambda: ears.now_s)


def tenths(samples_16k: FloatArray) -> str:
    return str(round(10 * samples_16k.size / INPUT_RATE_HZ))


def test_the_turn_is_heard_from_before_its_onset_until_its_last_pause_is_noticed() -> None:
    pause = heard(noise(2.4))
    lasts_s = pause.turn_16k.size / INPUT_RATE_HZ
    assert lasts_s == pytest.approx(SETTINGS.prefix_s + 2.4 + SETTINGS.pause_s, abs=0.1)
    assert pause.piece_16k.tolist() == pause.turn_16k.tolist()
    assert pause.text == tenths(pause.turn_16k)


def test_its_draft_is_what_was_understood_while_somebody_spoke() -> None:
    draft = heard(noise(2.6)).draft
    assert draft is not None
    assert 15 <= int(draft.text) <= 23  # a second after the first one, of which it was not told at once


def test_what_is_not_understood_yet_when_the_pause_begins_is_no_draft() -> None:
    assert heard(noise(0.5)).draft is None
    slow = heard(noise(2.2), takes_s=0.7).draft
    quick = heard(noise(2.2)).draft
    assert slow is not None
    assert quick is not None
    assert int(slow.text) < int(quick.text)


def test_a_pause_in_the_midst_gives_the_draft_and_is_not_the_last() -> None:
    pause = heard(noise(1.5), silence(0.4), noise(0.6))
    assert pause.draft is not None
    assert int(pause.draft.text) == pytest.approx(10 * (SETTINGS.prefix_s + 1.5), abs=1.5)
    assert pause.turn_16k.size / INPUT_RATE_HZ == pytest.approx(SETTINGS.prefix_s + 2.5 + SETTINGS.pause_s, abs=0.1)


def test_what_a_pause_has_settled_is_not_heard_again_but_belongs_to_the_text() -> None:
    first = noise(SETTINGS.settle_s + 0.5)
    pause = heard(first, silence(0.6), noise(2.0))
    assert pause.turn_16k.size > pause.piece_16k.size + first.size
    settled, last = pause.text.split(" ")
    assert int(settled) >= 10 * SETTINGS.settle_s
    assert last == tenths(pause.piece_16k)


@pytest.mark.parametrize("samples_16k", [silence(2.0), silence(0.0)])
def test_a_recording_without_speech_is_told(samples_16k: FloatArray) -> None:
    with pytest.raises(ValueError, match="nothing was understood"):
        heard(samples_16k)
