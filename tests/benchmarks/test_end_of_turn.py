"""What is found out of the pauses of a recording."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from benchmarks.end_of_turn import _nearby, _unbeaten
from benchmarks.pauses import AGAIN_LOG_ODDS, Pause, Spoken, heard_again, pauses_of
from pipeline.audio import INPUT_RATE_HZ
from pipeline.end_of_turn import log_odds
from pipeline.languages import Language
from pipeline.profiles import load_profile
from pipeline.stt.base import Transcript
from pipeline.vad import FRAME_S


class VoiceActivity:
    """Whatever can be heard at all is speech."""

    def stream(self) -> VoiceActivity:
        return self

    def probability(self, frame: np.ndarray) -> float:
        return float(np.abs(frame).max() > 1e-4)


def tone(seconds: float, level: float) -> np.ndarray:
    return level * np.sin(np.arange(round(seconds * INPUT_RATE_HZ)) * 0.3).astype(np.float32)


def test_what_fades_and_goes_on_after_a_pause_makes_the_pause_no_longer() -> None:
    models = SimpleNamespace(
        turns=load_profile("embedded").turns,
        voice_activity=VoiceActivity(),
        end_of_turn=SimpleNamespace(completeness=lambda heard, stop: 0.5),
        speech_to_text=SimpleNamespace(transcribe=lambda *_, **__: Transcript("so", Language.EN, 0.5, 0.9)),
        language_models={Language.EN: SimpleNamespace(sentence_ends=lambda text, stop: 0.5)},
    )
    parts = [tone(1.0, 0.3), tone(0.6, 0.0), tone(1.0, 0.3), tone(0.4, 0.003), tone(1.0, 0.3)]
    first, last = pauses_of(np.concatenate(parts), "en", models)  # type: ignore[arg-type]  # what it asks of them is there
    assert first.end_s == pytest.approx(1.0, abs=0.05)
    assert first.lasted_s == pytest.approx(0.6, abs=0.15)
    assert last.end_s == pytest.approx(4.0, abs=0.05)
    assert last.lasted_s == float("inf")


def heard_times(pause: Pause, times: int = 200) -> list[Pause]:
    lot = np.random.default_rng(7)
    spoken = [Spoken("clip", "en", 0.0, 2.0, [pause])]
    return [heard_again(spoken, lot)[0].pauses[0] for _ in range(times)]


def test_heard_again_a_pause_lasts_up_to_a_frame_longer_and_what_stirs_moves_with_its_end() -> None:
    pause = Pause(1.0, 0.06, lasted_s=0.7, stirs_s=[0.3, 0.66], ends=0.9, completeness=[0.4], sentence=0.2)
    for again in heard_times(pause):
        later_s = again.lasted_s - pause.lasted_s
        assert 0 <= later_s <= FRAME_S
        assert again.stirs_s == pytest.approx([0.3 + later_s, 0.66 + later_s])
        assert (again.end_s, again.completeness, again.sentence) == (1.0, [0.4], 0.2)


def test_heard_again_the_words_say_about_the_same() -> None:
    said = [log_odds(again.ends) for again in heard_times(Pause(1.0, 0.06, ends=0.9)) if again.ends is not None]
    assert len(said) == 200
    assert np.mean(said) == pytest.approx(log_odds(0.9), abs=0.1)
    assert np.std(said) == pytest.approx(AGAIN_LOG_ODDS, rel=0.2)


def test_heard_again_a_silence_that_nobody_ends_has_no_end_and_words_that_cannot_tell_still_cannot() -> None:
    [again] = heard_times(Pause(1.0, 0.06), times=1)
    assert again.lasted_s == float("inf")
    assert again.ends is None


def test_nothing_is_kept_that_another_beats() -> None:
    outcomes = {"quick": (0.5, 1.2, 0.0, 0.2), "late": (0.6, 1.2, 0.0, 0.2), "careful": (0.7, 1.2, 0.0, 0.1)}
    assert [name for name, _ in _unbeaten(list(outcomes.items()))] == ["quick", "careful"]


def test_policies_near_another_are_surer_and_less_sure_and_wait_longer_and_less() -> None:
    near = list(_nearby(((3.7, 0.6), (3.0, 0.95), (2.4, 1.17))))
    assert len(near) == len(set(near)) == 3**5
    assert ((3.7, 0.6), (3.0, 0.95), (2.4, 1.17)) in near
    assert ((3.4, 0.65), (3.3, 0.9), (2.4, 1.17)) in near
    assert {waits[2][1] for waits in near} == {1.17}
    assert len(list(_nearby(((3.6, 0.55),)))) == 9
