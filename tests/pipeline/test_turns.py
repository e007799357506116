"""From speech probabilities to onsets, pauses and ends of turns."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.profiles import load_profile
from pipeline.turns import LimitReached, Onset, Pause, Resumed, Step, TurnDetector
from pipeline.vad import FRAME_S

SETTINGS = replace(
    load_profile("embedded").turns,
    onset_s=0.09,
    pause_s=0.2,
    ask_s=0.4,
    recheck_s=0.2,
    silence_limit_s=1.0,
    longest_turn_s=5.0,
)
SPEECH, SILENCE = 0.9, 0.1


def frames(probability: float, seconds: float) -> list[float]:
    return [probability] * round(seconds / FRAME_S)


def steps(probabilities: list[float], *, stop_at_limit: bool = True) -> list[Step]:
    detector = TurnDetector(SETTINGS)
    seen = []
    for probability in probabilities:
        if (step := detector.push(probability, SETTINGS.silence_limit_s)) is not None:
            seen.append(step)
            if stop_at_limit and isinstance(step, LimitReached):
                detector.end_turn()
    return seen


def test_a_turn_opens_pauses_and_ends_at_the_silence_limit() -> None:
    onset, *pauses, end = steps(frames(SILENCE, 0.5) + frames(SPEECH, 1.0) + frames(SILENCE, 1.5))
    assert isinstance(onset, Onset)
    assert onset.start_s == pytest.approx(0.5, abs=FRAME_S)
    assert [type(pause) for pause in pauses] == [Pause] * 4
    assert isinstance(end, LimitReached)
    assert end.end_s == pytest.approx(1.5, abs=FRAME_S)


def test_pauses_are_told_again_while_they_last() -> None:
    pauses = [step.silence_s for step in steps(frames(SPEECH, 1.0) + frames(SILENCE, 0.9)) if isinstance(step, Pause)]
    assert pauses == pytest.approx([0.224, 0.416, 0.608, 0.8], abs=FRAME_S)


def test_a_speaker_who_goes_on_resumes_the_turn() -> None:
    kinds = [
        type(step)
        for step in steps(frames(SPEECH, 0.5) + frames(SILENCE, 0.25) + frames(SPEECH, 0.5) + frames(SILENCE, 0.25))
    ]
    assert kinds == [Onset, Pause, Resumed, Pause]


def test_a_click_does_not_open_a_turn() -> None:
    assert steps([*frames(SILENCE, 0.3), SPEECH, SPEECH, *frames(SILENCE, 0.5)]) == []


def test_a_click_in_a_pause_does_not_resume_it() -> None:
    click = [*frames(SPEECH, 0.5), *frames(SILENCE, 0.3), SPEECH, *frames(SILENCE, 1.0)]
    assert Resumed not in [type(step) for step in steps(click)]


def test_unsure_frames_change_nothing() -> None:
    unsure = [(SETTINGS.speech_threshold + SETTINGS.silence_threshold) / 2] * 50
    assert steps(unsure) == []
    assert [type(step) for step in steps(frames(SPEECH, 0.5) + unsure)] == [Onset]


def test_a_turn_without_end_is_cut() -> None:
    seen = steps(frames(SPEECH, 6.0))
    assert [type(step) for step in seen[:2]] == [Onset, LimitReached]


@given(st.lists(st.floats(0, 1), max_size=300))
def test_steps_come_in_an_order_that_makes_sense(probabilities: list[float]) -> None:
    allowed = {
        None: {Onset},
        Onset: {Pause, LimitReached},
        Pause: {Pause, Resumed, LimitReached},
        Resumed: {Pause, LimitReached},
        LimitReached: {Onset},
    }
    previous: type[Step] | None = None
    for step in steps(probabilities):
        assert type(step) in allowed[previous]
        previous = type(step)
