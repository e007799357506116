"""The harness against the reference server: exactly, on made-up time, and once over a real socket."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console

from client.play import LoopClock
from harness import virtual_time
from harness.fixtures import read
from harness.limits import BEHAVIOUR, MEASURES
from harness.measures import latency
from harness.measures.latency import PREBUFFERS_MS
from harness.reference import voice
from harness.reference.behaviour import STAGES, Behaviour
from harness.replay import end_of_speech_s
from harness.self_test import programme, table
from harness.self_test.clips import RATE_HZ, make_questions
from harness.self_test.driving import Deviation, Found, Outcome, drive, turns
from harness.self_test.expected import FIRST_AUDIO, FIRST_BYTE, playback_start, programmed, underrun
from harness.self_test.listener import ToneListener
from harness.self_test.manners import MANNERS
from harness.self_test.server import reference_server


@pytest.fixture(scope="module")
def whole(request: pytest.FixtureRequest) -> Outcome:
    """The self-test, once, on a virtual clock."""
    with pytest.MonkeyPatch.context() as patch:
        request.getfixturevalue("connect_in_memory")(patch)
        return virtual_time.run(drive("ws://reference"))


def test_the_instrument_may_be_trusted(whole: Outcome) -> None:
    assert table.failures(whole) == []
    assert table.exit_code(whole) == 0
    assert whole.clean >= table.FEWEST_CLEAN
    assert whole.late == 0


def test_on_made_up_time_every_delay_is_exact(whole: Outcome) -> None:
    for quantity, deviations in table.by_quantity(whole).items():
        assert max(np.abs(table.errors_ms(deviations))) <= 0.01, quantity
    assert max(whole.server_late_s) <= 1e-5
    assert len(whole.server_late_s) == programme.CLEAN["realtime"] + programme.STALLED["realtime"]


def test_every_fault_and_every_gate_is_tried(whole: Outcome) -> None:
    assert len(whole.faults) == sum(len(fault.protocols) for fault in programme.FAULTS) + len(MANNERS)
    red = {gate.name for gate in whole.gates if gate.expected.startswith("red")}
    green = {gate.name for gate in whole.gates if gate.expected.startswith("green")}
    assert red == green
    # The limits on behaviour are seen red and green in test_manners.py: it takes five conversations each.
    assert {name.partition(" ")[0] for name in red} == {*MEASURES, "valid"}.difference(BEHAVIOUR)


def test_the_number_of_turns_is_told_beforehand(reference_in_memory: None) -> None:
    played: list[str] = []
    virtual_time.run(drive("ws://reference", on_turn=played.append))
    assert len(played) == turns()


@pytest.mark.asyncio
async def test_over_a_socket_in_real_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """A few turns; that they are exact is for a machine that does nothing else, and `s2s gate --self-test`, to show."""
    monkeypatch.setattr(programme, "FAULTS", programme.FAULTS[:1])
    monkeypatch.setattr("harness.self_test.driving.FAULTS", programme.FAULTS[:1])
    monkeypatch.setattr("harness.self_test.driving.BAD_RUNS", ())
    monkeypatch.setattr("harness.self_test.driving.MANNERS", ())
    monkeypatch.setattr("harness.self_test.driving.CLEAN", {"realtime": 2, "endpoint": 2})
    monkeypatch.setattr("harness.self_test.driving.STALLED", {})
    async with reference_server() as address:
        outcome = await drive(address)
    assert outcome.late or all(fault.is_right for fault in outcome.faults)
    assert outcome.false_findings == []
    assert all(deviation.measured_s is not None for deviation in outcome.deviations)
    assert len(outcome.faults) == 2


def outcome_with(**changes: object) -> Outcome:
    good = Outcome([Deviation(FIRST_BYTE, 0.2, 0.2015)], [Found("a", "realtime", "b", True, "c")], clean=30)
    return replace(good, **changes)  # type: ignore[arg-type]  # a test's shorthand


@pytest.mark.parametrize(
    ("outcome", "code", "said"),
    [
        (outcome_with(), 0, "may be trusted"),
        (outcome_with(deviations=[Deviation(FIRST_BYTE, 0.2, 0.2021)]), 1, "the error is 2.10 ms"),
        (outcome_with(deviations=[Deviation(FIRST_BYTE, 0.2, 0.1979)]), 1, "the error is 2.10 ms"),
        (outcome_with(deviations=[Deviation(FIRST_BYTE, 0.2, None)]), 1, "the error is inf ms"),
        (outcome_with(faults=[Found("wrap", "endpoint", "x", False, "nothing")]), 1, "not found on endpoint: wrap"),
        (outcome_with(false_findings=["realtime: a click"]), 1, "found on a good reply: realtime: a click"),
        (outcome_with(gates=[Found("heard", "realtime", "red", False, "pass")]), 1, "gate heard, not red: pass"),
        (outcome_with(clean=29), 1, "only 29 good replies"),
        (outcome_with(late=1, clean=29), 3, "close other programs"),
    ],
)
def test_what_is_wrong_is_said_and_is_the_exit_code(outcome: Outcome, code: int, said: str) -> None:
    shown = io.StringIO()
    table.print_outcome(outcome, Console(file=shown, width=200))
    assert table.exit_code(outcome) == code
    assert said in shown.getvalue()


@pytest.mark.parametrize(
    ("late_s", "told"), [([0.0001, 0.0002, 0.0031], "itself 0.20 and 3.10 ms late"), ([], "not known")]
)
def test_how_late_the_server_was_itself_is_told_and_taken_off_nothing(late_s: list[float], told: str) -> None:
    outcome = outcome_with(server_late_s=late_s, deviations=[Deviation(FIRST_BYTE, 0.2, 0.2031)])
    shown = io.StringIO()
    table.print_outcome(outcome, Console(file=shown, width=200))
    assert told in shown.getvalue()
    assert table.exit_code(outcome) == 1


def test_one_bad_turn_in_twenty_is_within_the_p95() -> None:
    nineteen = [Deviation(FIRST_BYTE, 0.2, 0.2)] * 19
    assert table.exit_code(outcome_with(deviations=[*nineteen, Deviation(FIRST_BYTE, 0.2, 0.3)])) == 0
    assert table.exit_code(outcome_with(deviations=[*nineteen[:-1], *[Deviation(FIRST_BYTE, 0.2, 0.3)] * 2])) == 1


def test_the_end_of_the_questions_lies_at_the_edge_of_a_frame_and_within_one(tmp_path: object) -> None:
    questions = make_questions(tmp_path)  # type: ignore[arg-type]  # pytest's own path
    ends_s = [question.speech_end / RATE_HZ for question in questions if question.speech_end]
    due_s = [end_of_speech_s(question) for question in questions]
    assert due_s[0] == pytest.approx(ends_s[0])
    assert all(0.001 < due - end < 0.019 for due, end in zip(due_s[1:], ends_s[1:], strict=True))


def test_the_questions_end_where_they_say(tmp_path: object) -> None:
    for question in make_questions(tmp_path):  # type: ignore[arg-type]  # pytest's own path
        samples = read(question, RATE_HZ)
        assert question.speech_end is not None
        assert not samples[question.speech_end :].any()
        assert np.abs(samples[question.speech_end - 160 : question.speech_end]).max() > 0.01
        assert ToneListener().transcribe(samples, "en") == question.transcript


def test_the_judge_hears_every_word_and_what_is_none() -> None:
    said = " ".join(voice.WORDS)
    assert ToneListener().transcribe(voice.speak(said, RATE_HZ).astype(np.float32), "en") == said
    between = 0.1 * np.sin(2 * np.pi * 327 * np.arange(2_000) / RATE_HZ)
    assert ToneListener().transcribe(between.astype(np.float32), "en") == "noise"
    assert ToneListener().transcribe(np.zeros(4_000, dtype=np.float32), "en") == ""


def test_what_is_expected_of_a_reply_is_known_by_hand() -> None:
    """Eleven chunks of 40 ms, 24 ms apart; the seventh and all after it 200 ms late."""
    behaviour = Behaviour(
        1.0,
        stages_s=(0.1, 0, 0, 0, 0, 0, 0.02),
        spoken="alpha bravo charlie",
        lead_in_s=0.05,
        stall_chunk=6,
        stall_s=0.2,
    )
    expected = programmed(behaviour, 24_000, traced=True)
    assert expected[FIRST_BYTE] == pytest.approx(0.12)
    assert expected[FIRST_AUDIO] == pytest.approx(0.1703, abs=0.0001)  # 300 Hz, risen for a third of a millisecond
    assert [expected[playback_start(ms)] for ms in PREBUFFERS_MS] == pytest.approx([0.12, 0.144, 0.168, 0.216])
    assert [expected[underrun(ms)] for ms in PREBUFFERS_MS] == pytest.approx([0.104, 0.08, 0.056, 0.008])
    assert expected["end of the reply"] == pytest.approx(0.12 + 10 * 0.024 + 0.2 + 0.01)
    assert expected["waterfall: unexplained"] == pytest.approx(0.0)
    quiet = programmed(replace(behaviour, untold=("pause",)), 24_000, traced=True)
    assert quiet["waterfall: unexplained"] == pytest.approx(0.1)
    assert "waterfall: committed" not in quiet
    assert programmed(behaviour, 24_000, traced=False)["waterfall: unexplained"] == pytest.approx(0.12)


def test_the_harness_is_late_when_it_is_made_to_be(reference_in_memory: None, monkeypatch: pytest.MonkeyPatch) -> None:
    class Late(LoopClock):
        async def sleep_until(self, at_s: float) -> None:
            await super().sleep_until(at_s + latency.LATE_MAX_S + 0.001)

    monkeypatch.setattr("harness.self_test.driving.FAULTS", ())
    monkeypatch.setattr("harness.self_test.driving.BAD_RUNS", ())
    monkeypatch.setattr("harness.self_test.driving.MANNERS", ())
    monkeypatch.setattr("harness.self_test.driving.CLEAN", {"endpoint": 1})
    monkeypatch.setattr("harness.self_test.driving.STALLED", {})
    outcome = virtual_time.run(drive("ws://reference", clock=Late()))
    assert (outcome.late, outcome.clean, table.exit_code(outcome)) == (1, 0, 3)


def test_a_wrong_instrument_is_found(reference_in_memory: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """A frame too early for the end of speech: 20 ms off, in everything."""
    right = end_of_speech_s
    monkeypatch.setattr("harness.replay.end_of_speech_s", lambda fixture: right(fixture) - 0.02)
    monkeypatch.setattr("harness.self_test.driving.FAULTS", ())
    monkeypatch.setattr("harness.self_test.driving.BAD_RUNS", ())
    monkeypatch.setattr("harness.self_test.driving.MANNERS", ())
    outcome = virtual_time.run(drive("ws://reference"))
    assert f"{FIRST_BYTE}: the error is 20.00 ms" in " ".join(table.failures(outcome))


def test_stages_are_those_of_the_waterfall() -> None:
    assert (*STAGES, "received", "audible") == latency.STAGES
