"""From speech probabilities to onsets, pauses and resumptions."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.profiles import TurnProfile, load_profile
from pipeline.turns import Fading, Onset, Resumed, Silence, Speaking, Step, TooLong, TurnDetector
from pipeline.vad import FRAME_S

SETTINGS = replace(load_profile("embedded").turns, onset_s=0.09, pause_s=0.2, longest_turn_s=5.0, fading_db=24.0)
SPEECH, QUIET = 0.9, 0.1
LOUD_DB = -20.0


def frames(probability: float, seconds: float, level_db: float = LOUD_DB) -> list[tuple[float, float]]:
    return [(probability, level_db)] * round(seconds / FRAME_S)


def steps(pushed: list[tuple[float, float]], settings: TurnProfile = SETTINGS) -> list[Step]:
    """What the detector says; a turn that is too long is ended, and nothing else."""
    detector = TurnDetector(settings)
    seen = []
    for probability, level_db in pushed:
        if (step := detector.push(probability, level_db)) is not None:
            seen.append(step)
            if isinstance(step, TooLong):
                detector.end_turn()
    return seen


def kinds(seen: list[Step]) -> list[type[Step]]:
    """A run of one kind as one."""
    names = [type(step) for step in seen]
    return [name for name, before in zip(names, [None, *names], strict=False) if name is not before]


def test_a_turn_opens_and_falls_silent() -> None:
    seen = steps(frames(QUIET, 0.5) + frames(SPEECH, 1.0) + frames(QUIET, 1.5))
    assert kinds(seen) == [Onset, Speaking, Silence]
    assert isinstance(seen[0], Onset)
    assert seen[0].start_s == pytest.approx(0.5, abs=FRAME_S)
    assert isinstance(seen[-1], Silence)
    assert seen[-1].end_s == pytest.approx(1.5, abs=FRAME_S)
    assert seen[-1].silence_s == pytest.approx(1.5, abs=2 * FRAME_S)


def test_silence_is_told_with_every_frame_of_it() -> None:
    told = [step.silence_s for step in steps(frames(SPEECH, 1.0) + frames(QUIET, 0.4)) if isinstance(step, Silence)]
    assert told == pytest.approx([0.224, 0.256, 0.288, 0.32, 0.352, 0.384], abs=0.01)


@pytest.mark.parametrize(
    ("last", "stirs"),
    [
        ((SETTINGS.stir_threshold - 0.01, LOUD_DB), False),
        ((SETTINGS.stir_threshold, LOUD_DB), True),
        ((0.0, LOUD_DB + SETTINGS.stir_db - 1), False),
        ((0.0, LOUD_DB + SETTINGS.stir_db), True),
    ],
)
def test_what_may_be_the_first_frame_of_speech_is_told(last: tuple[float, float], stirs: bool) -> None:
    *_, silence = steps([*frames(SPEECH, 0.5), *frames(0.0, 0.3), last])
    assert isinstance(silence, Silence)
    assert silence.stirs is stirs


def test_a_speaker_who_goes_on_resumes_the_turn() -> None:
    spoken = frames(SPEECH, 0.5) + frames(QUIET, 0.25) + frames(SPEECH, 0.5) + frames(QUIET, 0.25)
    assert kinds(steps(spoken)) == [Onset, Speaking, Silence, Resumed, Speaking, Silence]


def test_a_pause_can_be_looked_up_while_it_lasts() -> None:
    detector = TurnDetector(SETTINGS)
    for probability, level_db in frames(SPEECH, 0.5) + frames(QUIET, 0.3):
        detector.push(probability, level_db)
    silence = detector.silence
    assert silence is not None
    assert silence.silence_s == pytest.approx(0.3, abs=FRAME_S)
    detector.push(SPEECH, LOUD_DB)
    assert detector.silence is None, "it is not clear any more whether the pause goes on"
    detector.push(QUIET, LOUD_DB)
    assert detector.silence is not None


def test_a_click_does_not_open_a_turn() -> None:
    assert steps([*frames(QUIET, 0.3), *frames(SPEECH, 2 * FRAME_S), *frames(QUIET, 0.5)]) == []


def test_a_click_in_a_pause_does_not_resume_it() -> None:
    click = [*frames(SPEECH, 0.5), *frames(QUIET, 0.3), *frames(SPEECH, FRAME_S), *frames(QUIET, 1.0)]
    assert Resumed not in kinds(steps(click))


def test_unsure_frames_change_nothing() -> None:
    unsure = frames((SETTINGS.speech_threshold + SETTINGS.silence_threshold) / 2, 1.6)
    assert steps(unsure) == []
    assert kinds(steps(frames(SPEECH, 0.5) + unsure)) == [Onset, Speaking]


def test_breath_behind_the_last_word_is_not_part_of_it() -> None:
    breath = frames(SPEECH, 0.3, LOUD_DB - 30)
    *_, silence = steps(frames(SPEECH, 1.0) + breath + frames(QUIET, 0.3))
    assert isinstance(silence, Silence)
    assert silence.end_s == pytest.approx(1.0, abs=FRAME_S)
    assert silence.silence_s == pytest.approx(0.6, abs=2 * FRAME_S)


def test_a_soft_last_word_is() -> None:
    word = frames(SPEECH, 0.3, LOUD_DB - 15)
    *_, silence = steps(frames(SPEECH, 1.0) + word + frames(QUIET, 0.3))
    assert isinstance(silence, Silence)
    assert silence.end_s == pytest.approx(1.3, abs=FRAME_S)


def test_it_is_told_that_the_last_word_dies_away_and_changes_nothing_else() -> None:
    """The detector calls that speech for a tenth of a second, by which every answer would come later."""
    spoken, dying = frames(SPEECH, 1.0), frames(SPEECH, 0.3, LOUD_DB - 30)
    seen = steps(spoken + dying + frames(QUIET, 0.5, LOUD_DB - 50))
    assert kinds(seen) == [Onset, Speaking, Fading, Silence]
    faded = next(number for number, step in enumerate(seen) if isinstance(step, Fading))
    assert faded * FRAME_S == pytest.approx(1.0 + SETTINGS.faded_s - SETTINGS.onset_s, abs=1.5 * FRAME_S)
    deaf = replace(SETTINGS, faded_db=200.0)
    told = [step for step in seen if isinstance(step, Silence)]
    assert told == [
        step for step in steps(spoken + dying + frames(QUIET, 0.5, LOUD_DB - 50), deaf) if isinstance(step, Silence)
    ]


def test_a_loud_word_resumes_what_seemed_to_die_away() -> None:
    closed = frames(SPEECH, 0.2, LOUD_DB - 30)
    seen = steps(frames(SPEECH, 1.0) + closed + frames(SPEECH, 0.5))
    assert kinds(seen) == [Onset, Speaking, Fading, Resumed, Speaking]


def test_whoever_goes_on_softly_goes_on() -> None:
    seen = steps(frames(SPEECH, 1.0) + frames(SPEECH, 2.0, LOUD_DB - 30))
    assert kinds(seen) == [Onset, Speaking, Fading, Resumed, Speaking]


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(-90, 0)), max_size=300))
def test_what_fades_decides_nothing(pushed: list[tuple[float, float]]) -> None:
    """But for it, the steps are those of a detector that does not look for it."""
    told, deaf = (steps(pushed, replace(SETTINGS, faded_db=faded_db)) for faded_db in (27.0, 200.0))
    assert len(told) == len(deaf)
    for one, other in zip(told, deaf, strict=True):
        if isinstance(other, Speaking):
            assert isinstance(one, Speaking | Fading | Resumed)
        else:
            assert one == other


def test_a_turn_without_end_is_cut() -> None:
    assert kinds(steps(frames(SPEECH, 6.0)))[:3] == [Onset, Speaking, TooLong]


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(-90, 0)), max_size=300))
def test_steps_come_in_an_order_that_makes_sense(pushed: list[tuple[float, float]]) -> None:
    allowed = {
        None: {Onset},
        Onset: {Speaking, Fading, Silence, TooLong},
        Speaking: {Speaking, Fading, Silence, TooLong},
        Fading: {Fading, Resumed, Silence, TooLong},
        Silence: {Silence, Resumed},
        Resumed: {Speaking, Fading, Silence, TooLong},
        TooLong: {Onset},
    }
    previous: type[Step] | None = None
    for step in steps(pushed):
        assert type(step) in allowed[previous]
        previous = type(step)
        if isinstance(step, Silence):
            assert step.silence_s >= 0
