from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.measures import latency
from harness.measures.latency import STAGES, Playback
from harness.recording import Chunk, Outcome, Recording

RATE_HZ = 24_000
END_OF_SPEECH_S = 2.0


def tone(seconds: float, amplitude: float = 0.3) -> bytes:
    time_s = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    return (amplitude * 32_767 * np.cos(2 * np.pi * 440 * time_s)).astype("<i2").tobytes()


def silence(seconds: float) -> bytes:
    return bytes(2 * round(seconds * RATE_HZ))


def recording(*chunks: tuple[float, bytes], ended_s: float | None = None, **others: object) -> Recording:
    made = Recording("en-01", "en", "in-process", 0.02, END_OF_SPEECH_S, rate_hz=RATE_HZ, ended_s=ended_s)
    made.chunks = [Chunk(at_s, pcm) for at_s, pcm in chunks]
    for name, value in others.items():
        setattr(made, name, value)
    return made


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (recording((2.5, tone(0.1))), "answered"),
        (recording((2.0, tone(0.1))), "answered"),
        (recording((1.999, tone(0.1))), "cut-in"),
        (recording(), "no-answer"),
        (recording((2.5, b"")), "no-answer"),
        (recording((2.5, tone(0.1)), error="closed"), "error"),
        (recording(error="refused"), "error"),
        (recording((2.5, tone(0.1)), lateness_s=[0.0] * 99 + [0.019]), "answered"),
        (recording((2.5, tone(0.1)), lateness_s=[0.0] * 99 + [0.021]), "invalid"),
        (recording((2.5, tone(0.1)), lateness_s=[0.0] * 98 + [0.006] * 2), "invalid"),
        (recording(error="refused", lateness_s=[0.5]), "invalid"),
    ],
)
def test_outcome(made: Recording, expected: Outcome) -> None:
    assert latency.outcome(made) == expected


def test_a_gap_before_the_sound_delays_it() -> None:
    found = latency.measure(recording((3.0, silence(0.1)), (3.5, tone(0.2))))
    assert found.ttfa_s == pytest.approx(1.5, abs=1e-4)


def test_a_click_shorter_than_audible_is_not_the_first_audio() -> None:
    faint = (np.full(5, 0.02) * 32_767).astype("<i2").tobytes()
    found = latency.measure(recording((3.0, silence(0.2) + faint + silence(0.2) + tone(0.1))))
    assert found.ttfa_s == pytest.approx(1.0 + 0.2 + 5 / RATE_HZ + 0.2, abs=1e-4)


def test_a_silent_reply_has_a_first_byte_but_no_first_audio() -> None:
    found = latency.measure(recording((3.0, silence(1.0))))
    assert (found.first_byte_s, found.ttfa_s, found.waterfall) == (1.0, None, ())


def test_a_cut_in_keeps_its_negative_latency() -> None:
    found = latency.measure(recording((1.2, tone(0.5)), ended_s=2.3))
    assert (found.ended_s, found.waterfall) == (0.3, ())
    assert found.first_byte_s == pytest.approx(-0.8)
    assert found.ttfa_s == pytest.approx(-0.8, abs=1e-3)


def test_no_reply_measures_as_nothing() -> None:
    found = latency.measure(recording())
    assert (found.first_byte_s, found.ttfa_s, found.ended_s, found.waterfall) == (None, None, None, ())
    assert found.playback[0] == Playback(0, None, 0, 0.0)


def test_playback_at_each_prebuffer() -> None:
    """40 ms pieces, the third of them 100 ms late."""
    arrivals_s = [3.0, 3.04, 3.18, 3.22, 3.26]
    found = latency.measure(recording(*((at_s, tone(0.04)) for at_s in arrivals_s)))
    assert found.playback == (
        Playback(0, 1.0, 1, 0.1),
        Playback(60, 1.04, 1, 0.06),
        Playback(120, 1.18, 0, 0.0),
        Playback(200, 1.26, 0, 0.0),
    )


def test_a_reply_shorter_than_the_prebuffer_starts_when_it_is_over() -> None:
    found = latency.measure(recording((3.0, tone(0.1)), ended_s=3.4))
    assert [play.start_s for play in found.playback] == [1.0, 1.0, 1.4, 1.4]


def test_each_reply_is_prebuffered_and_the_pause_between_two_is_no_underrun() -> None:
    made = recording(*((at_s, tone(0.04)) for at_s in (3.0, 3.04, 5.0, 5.04, 5.18)), ended_s=5.3)
    made.chunks = [replace(chunk, reply=int(chunk.at_s >= 5)) for chunk in made.chunks]
    assert latency.measure(made).playback == (
        Playback(0, 1.0, 1, 0.1),
        Playback(60, 1.04, 1, 0.06),
        Playback(120, 1.04, 0, 0.0),  # the first reply is shorter than that, the second one begins when it has it
        Playback(200, 1.04, 0, 0.0),
    )


def test_a_chunk_without_a_sample_does_not_shorten_a_gap() -> None:
    made = recording((3.0, tone(0.04)), (3.1, b""), (3.2, tone(0.04)), ended_s=3.3)
    assert latency.measure(made).playback[0] == Playback(0, 1.0, 1, 0.16)
    made = recording((2.9, b""), (3.0, tone(0.04)), (3.04, tone(0.04)), ended_s=3.3)
    assert latency.measure(made).playback[0] == Playback(0, 1.0, 0, 0.0)


def test_a_reply_that_came_early_waits_for_the_one_before_it() -> None:
    made = recording((3.0, tone(0.5)), (3.1, tone(0.04)), (3.52, tone(0.04)), ended_s=3.6)
    made.chunks = [replace(chunk, reply=int(chunk.at_s > 3)) for chunk in made.chunks]
    assert latency.measure(made).playback[0] == Playback(0, 1.0, 0, 0.0)


def test_a_cold_start_is_marked() -> None:
    assert latency.measure(recording((3.0, tone(0.1)), cold=True)).cold
    assert not latency.measure(recording((3.0, tone(0.1)))).cold


def test_waterfall_of_a_turn_in_order() -> None:
    trace = {f"{stage}_s": END_OF_SPEECH_S + 0.1 * step for step, stage in enumerate(STAGES[:7], 1)}
    found = latency.measure(recording((2.75, silence(0.05) + tone(0.2)), trace=trace))
    assert [bar.stage for bar in found.waterfall] == [*STAGES, "unexplained"]
    assert [bar.length_s for bar in found.waterfall] == pytest.approx([0.1] * 7 + [0.05, 0.05, 0.0], abs=1e-3)


def test_waterfall_of_a_server_that_works_ahead() -> None:
    """Transcript and text were ready before the turn was committed: they added nothing to the wait."""
    trace = {
        "pause_s": 2.3, "transcript_s": 2.4, "first_token_s": 2.5, "first_clause_s": 2.6, "committed_s": 2.8,
        "first_sample_s": 2.9, "first_sent_s": 2.9,
    }  # fmt: skip  # a table, which is not seen with each entry in a line
    found = latency.measure(recording((3.0, tone(0.2)), trace=trace))
    lengths = {bar.stage: bar.length_s for bar in found.waterfall}
    assert lengths["committed"] == pytest.approx(0.5)
    assert lengths["transcript"] == lengths["first_token"] == lengths["first_clause"] == 0
    assert lengths["first_sample"] == pytest.approx(0.1)
    assert lengths["unexplained"] == pytest.approx(0, abs=1e-5)
    assert {bar.stage: bar.at_s for bar in found.waterfall}["transcript"] == pytest.approx(0.4)


@pytest.mark.parametrize("nonsense", [float("nan"), float("inf")])
def test_a_stage_without_a_time_is_missing(nonsense: float) -> None:
    bars = latency.measure(recording((3.0, tone(0.2)), trace={"pause_s": 2.3, "committed_s": nonsense})).waterfall
    assert (bars[0].length_s, bars[1].at_s, bars[1].length_s) == (0.3, None, 0.0)
    assert bars[-1].length_s == pytest.approx(0.7, abs=1e-5)


def test_time_before_a_missing_stage_belongs_to_nobody() -> None:
    trace = {"pause_s": 2.2, "committed_s": 2.3, "first_sample_s": 2.8, "first_sent_s": 2.8}
    bars = {bar.stage: bar for bar in latency.measure(recording((3.0, tone(0.2)), trace=trace)).waterfall}
    assert bars["transcript"].at_s is None
    assert bars["first_sample"].length_s == 0
    assert bars["unexplained"].length_s == pytest.approx(0.5, abs=1e-5)


def test_without_a_trace_all_is_unexplained_but_what_the_harness_saw() -> None:
    bars = {bar.stage: bar.length_s for bar in latency.measure(recording((3.0, silence(0.1) + tone(0.2)))).waterfall}
    assert bars["unexplained"] == pytest.approx(1.0)
    assert bars["audible"] == pytest.approx(0.1, abs=1e-3)


def test_an_account_that_runs_past_what_was_heard_is_shown_as_a_negative_rest() -> None:
    bars = latency.measure(recording((3.0, tone(0.2)), trace={"pause_s": 4.0})).waterfall
    assert bars[-1].length_s == pytest.approx(-1.0, abs=1e-3)


@given(
    st.dictionaries(st.sampled_from([f"{stage}_s" for stage in STAGES]), st.floats(-1e3, 1e3) | st.just(float("nan")))
)
def test_the_bars_add_up_to_the_wait(trace: dict[str, float]) -> None:
    found = latency.measure(recording((3.0, silence(0.1) + tone(0.2)), trace=trace))
    assert sum(bar.length_s for bar in found.waterfall) == pytest.approx(found.ttfa_s, abs=1e-4)


def test_lateness_of_the_sender_is_reported() -> None:
    found = latency.measure(recording(lateness_s=[0.001] * 99 + [0.004]))
    assert (found.sender_late_p99_s, found.sender_late_max_s) == (0.001, 0.004)


@given(
    st.floats(0.0, 5.0),
    st.floats(0.0, 1.0),
    st.floats(0.011, 0.5),
    st.sampled_from([0.02, 0.1, 1.0]),
    st.integers(61, 4_000),
)
def test_first_audio_is_recovered_within_a_millisecond(
    delay_s: float, lead_in_s: float, sound_s: float, amplitude: float, chunk_bytes: int
) -> None:
    """However the bytes are cut (also through samples), what is heard first is the tone."""
    pcm = silence(lead_in_s) + tone(sound_s, amplitude)
    at_s = END_OF_SPEECH_S + delay_s
    found = latency.measure(
        recording(*((at_s, pcm[start : start + chunk_bytes]) for start in range(0, len(pcm), chunk_bytes)))
    )
    assert found.first_byte_s == pytest.approx(delay_s, abs=1e-5)
    assert found.ttfa_s == pytest.approx(delay_s + lead_in_s, abs=0.001)
