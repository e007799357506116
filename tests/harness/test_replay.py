"""What a recording says of a turn, on made-up time."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.connection import UnavailableError
from client.events import Failed, Heard, ReplyAudio, ReplyEnded, Spoken
from client.play import FRAME_S, LoopClock
from harness import virtual_time
from harness.measures import latency
from harness.recording import Chunk
from harness.replay import end_of_speech_s, replay

AUDIO = ReplyAudio(b"\x01\x00" * 2400)


def test_a_turn(make_clip, scripted_target) -> None:
    target = scripted_target(
        [
            (0.7, Heard("hello")),
            (0.8, Spoken("Hi ")),
            (0.9, AUDIO),
            (1.0, Spoken("there.")),
            (1.1, ReplyEnded({"a": 1.0})),
        ]
    )
    recording = virtual_time.run(replay(make_clip(seconds=0.6, speech_end_s=0.5), target))
    assert (recording.heard, recording.spoken, recording.error) == ("hello", "Hi there.", None)
    assert recording.chunks == [Chunk(pytest.approx(0.9), AUDIO.pcm)]
    assert recording.ended_s == pytest.approx(1.1)
    assert recording.trace == {"a": 1.0}
    assert recording.end_of_speech_s == pytest.approx(0.5)
    assert latency.outcome(recording) == "answered"
    assert target.languages == ["en"]


def test_over_ten_seconds_of_audio_nothing_drifts(make_clip, scripted_target) -> None:
    target = scripted_target([(10.5, AUDIO), (10.6, ReplyEnded())])
    recording = virtual_time.run(replay(make_clip(seconds=10.0, speech_end_s=10.0), target))
    assert len(recording.lateness_s) >= 500
    assert max(recording.lateness_s) < 1e-6


def test_a_late_sender_makes_the_turn_invalid(make_clip, scripted_target) -> None:
    class LateOnce(LoopClock):
        async def sleep_until(self, at_s: float) -> None:
            await super().sleep_until(at_s + (0.021 if abs(at_s - 0.2) < 0.001 else 0.0))

    target = scripted_target([(0.9, AUDIO), (1.0, ReplyEnded())])
    recording = virtual_time.run(replay(make_clip(), target, clock=LateOnce()))
    assert max(recording.lateness_s) == pytest.approx(0.021)
    assert latency.outcome(recording) == "invalid"


def test_a_cut_in_and_the_answer_to_the_rest_are_both_kept(make_clip, scripted_target) -> None:
    script = [
        (0.5, Heard("good")),
        (0.6, Spoken("Yes?")),
        (0.6, AUDIO),
        (0.7, ReplyEnded({"a": 1.0})),
        (2.5, Heard("morning")),
        (2.6, Spoken("Hi.")),
        (2.6, AUDIO),
        (2.7, ReplyEnded({"a": 2.0})),
    ]
    recording = virtual_time.run(replay(make_clip(seconds=2.0, speech_end_s=2.0), scripted_target(script)))
    assert [chunk.at_s for chunk in recording.chunks] == pytest.approx([0.6, 2.6])
    assert [chunk.reply for chunk in recording.chunks] == [0, 1]
    assert recording.cancelled == []
    assert (recording.heard, recording.spoken) == ("good morning", "Yes? Hi.")
    assert recording.trace == {"a": 1.0}
    assert latency.outcome(recording) == "cut-in"


def test_the_trace_is_that_of_the_first_reply_with_audio(make_clip, scripted_target) -> None:
    script = [
        (0.6, ReplyEnded({"a": 1.0}, cancelled=True)),
        (0.9, AUDIO),
        (1.0, ReplyEnded({"a": 2.0}, cancelled=True)),
        (1.2, AUDIO),
        (1.3, ReplyEnded({"a": 3.0})),
    ]
    recording = virtual_time.run(replay(make_clip(), scripted_target(script)))
    assert recording.trace == {"a": 2.0}
    assert [chunk.reply for chunk in recording.chunks] == [1, 2]
    assert recording.cancelled == [0, 1]


def test_without_audio_the_trace_is_kept_all_the_same(make_clip, scripted_target) -> None:
    script = [(0.6, ReplyEnded({"a": 1.0}, cancelled=True)), (0.7, ReplyEnded(None))]
    assert virtual_time.run(replay(make_clip(), scripted_target(script), limit_s=1.0)).trace == {"a": 1.0}


def test_an_answer_may_begin_while_the_rest_of_the_recording_plays(make_clip, scripted_target) -> None:
    script = [(1.0, AUDIO), (1.1, ReplyEnded())]
    recording = virtual_time.run(replay(make_clip(seconds=2.0, speech_end_s=0.5), scripted_target(script)))
    assert latency.outcome(recording) == "answered"
    assert len(recording.lateness_s) <= 100  # nothing more was waited for


def test_scripts_without_spaces_are_joined_without(make_clip, scripted_target) -> None:
    script = [(0.1, Heard("早上")), (0.9, Heard("好")), (1.0, AUDIO), (1.1, ReplyEnded())]
    recording = virtual_time.run(replay(make_clip("zh_tone", "zh"), scripted_target(script)))
    assert recording.heard == "早上好"


def test_no_answer(make_clip, scripted_target) -> None:
    recording = virtual_time.run(replay(make_clip(), scripted_target([]), limit_s=2.0))
    assert (recording.chunks, recording.ended_s, recording.error) == ([], None, None)
    assert latency.outcome(recording) == "no-answer"


def test_a_failure_is_told_and_keeps_what_had_come(make_clip, scripted_target) -> None:
    recording = virtual_time.run(replay(make_clip(), scripted_target([(0.6, AUDIO), (0.7, Failed("no memory"))])))
    assert recording.error == "no memory"
    assert len(recording.chunks) == 1


def test_no_conversation_is_raised(make_clip, scripted_target) -> None:
    with pytest.raises(UnavailableError, match="nobody there"):
        virtual_time.run(replay(make_clip(), scripted_target(UnavailableError("nobody there"))))


def test_a_clip_without_speech_ends_where_its_recording_does(make_clip, scripted_target) -> None:
    target = scripted_target([])
    clip = make_clip("noise", "none", seconds=0.5, speech_end_s=None)
    recording = virtual_time.run(replay(clip, target, limit_s=1.0))
    assert recording.end_of_speech_s == pytest.approx(0.5)
    assert target.languages == ["auto"]


def test_the_end_of_speech_is_due_with_the_frame_that_holds_its_last_sample(make_clip) -> None:
    clip = make_clip()

    @given(speech_end=st.integers(1, 480_000), rate_hz=st.sampled_from([8_000, 16_000, 22_050, 44_100, 48_000]))
    def check(speech_end: int, rate_hz: int) -> None:
        due_s = end_of_speech_s(replace(clip, rate_hz=rate_hz, speech_end=speech_end))
        last_sample_s = (speech_end - 1) / rate_hz
        assert due_s - FRAME_S - 1e-9 <= last_sample_s < due_s + 1e-9
        assert due_s / FRAME_S == pytest.approx(round(due_s / FRAME_S))

    check()
