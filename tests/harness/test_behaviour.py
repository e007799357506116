"""The measure of behaviour, on evidence written by hand."""

from __future__ import annotations

import pytest

from harness.measures import behaviour
from harness.measures.behaviour import Check
from harness.recording import Arrival
from harness.scenarios.performance import PerformanceEvidence, ReplyTold, Said

RATE_HZ = 24_000


def audio(at_s: float, length_s: float, reply: int = 0) -> Arrival:
    return Arrival(at_s, 2 * round(length_s * RATE_HZ), reply)


def said(
    *expect: str, begun_s: float | None = 0.0, start_s: float = 0.3, end_s: float = 1.3, language: str = "en"
) -> Said:
    if begun_s is None:
        return Said("clip", "en", "hello", "", expect)  # type: ignore[arg-type]  # a test's shorthand
    times = (begun_s, begun_s + start_s, begun_s + end_s, begun_s + end_s + 0.2)
    return Said("clip", "en", "hello", "", expect, *times)  # type: ignore[arg-type]  # as above


def found(lines: list[Said], error: str | None = None, **evidence: object) -> dict[str, Check]:
    made = PerformanceEvidence(0.02, rate_hz=RATE_HZ, **evidence)  # type: ignore[arg-type]  # as above
    return {check.measure: check for check in behaviour.measure(lines, made, error)}


def verdicts(lines: list[Said], error: str | None = None, **evidence: object) -> dict[str, str]:
    return {measure: check.verdict for measure, check in found(lines, error, **evidence).items()}


ANSWERED = {"premature": "held", "unanswered": "held", "surplus": "held"}


def test_an_answer() -> None:
    checks = found([said("answered")], chunks=(audio(2.0, 1.0),), replies=(ReplyTold(0, "Hi.", 2.5),))
    assert {measure: check.verdict for measure, check in checks.items()} == ANSWERED
    assert checks["unanswered"].told == "answered 0.70 s after the end of speech"
    assert checks["unanswered"].at_ms == 2_000


def test_no_answer_and_one_without_a_byte() -> None:
    assert verdicts([said("answered")]) == {"premature": "held", "unanswered": "broken"}
    assert verdicts([said("answered")], chunks=(Arrival(2.0, 0),))["unanswered"] == "broken"


def test_an_answer_before_the_end_of_speech_is_premature_even_by_a_millisecond() -> None:
    assert verdicts([said("answered")], chunks=(audio(1.299, 1.0),)) == {
        "premature": "broken",
        "unanswered": "undecided",
    }
    assert verdicts([said("answered")], chunks=(audio(1.3, 1.0),)) == ANSWERED
    both = found([said("answered")], chunks=(audio(0.9, 0.2), audio(2.0, 1.0, 1)))
    assert {measure: check.verdict for measure, check in both.items()} == ANSWERED | {"premature": "broken"}
    assert (both["premature"].told, both["premature"].at_ms) == ("a reply began 0.40 s before the end of speech", 900)


def test_two_answers_are_one_too_many() -> None:
    checks = found([said("answered")], chunks=(audio(2.0, 0.2), audio(3.0, 0.2, 1)))
    assert (checks["surplus"].verdict, checks["surplus"].at_ms) == ("broken", 3_000)


def test_each_reply_belongs_to_the_line_before_it() -> None:
    lines = [said("answered"), said("answered", begun_s=5.0)]
    checks = behaviour.measure(lines, PerformanceEvidence(0.02, chunks=(audio(2.0, 1.0), audio(7.0, 1.0, 1))))
    assert [(check.line, check.verdict) for check in checks] == [(n, "held") for n in (1, 1, 1, 2, 2, 2)]
    late = behaviour.measure(lines, PerformanceEvidence(0.02, chunks=(audio(5.2, 1.0), audio(7.0, 1.0, 1))))
    assert next(check.told for check in late if check.measure == "unanswered").startswith("answered 3.90 s")


def test_what_asks_for_no_answer() -> None:
    assert verdicts([said("not-answered")]) == {"false_answers": "held"}
    checks = found([said("not-answered")], chunks=(audio(2.0, 1.0),), replies=(ReplyTold(0, "Pardon?", 3.0),))
    assert checks["false_answers"].verdict == "broken"
    assert checks["false_answers"].told == "a reply began 1.70 s after the sound did: Pardon?"
    assert verdicts([said("not-answered")], chunks=(audio(0.5, 1.0),)) == {"false_answers": "broken"}


OVER = {
    "lines": [said("answered"), said("stops-reply", begun_s=2.7)],  # whose speech begins at 3.0
    "chunks": (*(audio(2.0 + 0.1 * n, 0.1) for n in range(12)),),  # sent as fast as they are played, up to 3.2
}


def over(*expect: str, **evidence: object) -> dict[str, Check]:
    lines = [said("answered"), said(*expect, begun_s=2.7)]
    return found(lines, **({"chunks": OVER["chunks"]} | evidence))


def test_a_reply_that_stops_for_the_caller() -> None:
    cancelled = (ReplyTold(0, "", 3.16, True),)
    checks = over("stops-reply", replies=cancelled, speech_started_s=(3.15,))
    assert {checks[name].verdict for name in ("missed_interruptions", "late_stops")} == {"held"}
    told = "the reply stopped 0.15 s after the first word began; its last audio had come after 0.10 s"
    assert checks["late_stops"].told == told


def test_a_reply_whose_audio_ran_out_was_silent_before_the_server_said_so() -> None:
    """As of a server that sends nothing more at the first sound, and makes sure of the words before it says so."""
    cancelled = (ReplyTold(0, "", 3.9, True),)
    checks = over("stops-reply", replies=cancelled, speech_started_s=(3.9,))
    assert checks["late_stops"].verdict == "held"
    assert checks["late_stops"].told.startswith("the reply stopped 0.20 s after the first word began")


@pytest.mark.parametrize(("stopped_s", "late"), [(3.249, False), (3.25, False), (3.26, True)])
def test_a_stop_is_late_after_a_quarter_of_a_second(stopped_s: float, late: bool) -> None:
    chunks = (audio(2.0, 3.0),)  # all of it at once: the loudspeaker has it, and stops when it is told
    checks = over("stops-reply", chunks=chunks, speech_started_s=(0.1, stopped_s))
    assert checks["missed_interruptions"].verdict == "held"
    assert (checks["late_stops"].verdict == "broken") == late


def test_a_stop_before_the_first_word_is_no_time_at_all() -> None:
    checks = over("stops-reply", chunks=(audio(2.0, 3.0),), speech_started_s=(2.9,))
    assert checks["late_stops"].told.startswith("the reply stopped 0.00 s after the first word began")


def test_a_reply_that_does_not_stop() -> None:
    checks = over("stops-reply", chunks=(audio(2.0, 3.0),), replies=(ReplyTold(0, "", 2.5),))
    assert checks["missed_interruptions"].verdict == "broken"
    assert checks["missed_interruptions"].told == "the reply went on for 2.00 s, to its end"
    assert "late_stops" not in checks
    too_late = over("stops-reply", chunks=(audio(2.0, 3.0),), speech_started_s=(5.5,))
    assert too_late["missed_interruptions"].verdict == "broken"


def test_a_reply_that_was_over_shows_nothing() -> None:
    for chunks in ((audio(2.0, 0.9),), (audio(2.0, 1.2),)):
        checks = over("stops-reply", chunks=chunks, replies=(ReplyTold(0, "", 2.5),))
        assert checks["missed_interruptions"].verdict == "undecided"
    checks = over("reply-goes-on", chunks=(audio(2.0, 0.9),))
    assert checks["false_interruptions"].verdict == "undecided"
    stopped_before = over("stops-reply", chunks=(audio(2.0, 3.0),), speech_started_s=(2.4,))
    assert stopped_before["missed_interruptions"].verdict == "undecided"


def test_a_reply_that_goes_on() -> None:
    checks = over("reply-goes-on", chunks=(audio(2.0, 3.0),), replies=(ReplyTold(0, "", 4.9),))
    assert checks["false_interruptions"].verdict == "held"
    assert checks["false_interruptions"].told == "the reply went on for 2.00 s, to its end"
    for stop in ({"speech_started_s": (3.4,)}, {"replies": (ReplyTold(0, "", 3.4, True),)}):
        checks = over("reply-goes-on", chunks=(audio(2.0, 3.0),), **stop)
        assert (checks["false_interruptions"].verdict, checks["false_interruptions"].at_ms) == ("broken", 3_400)


def test_a_stop_for_the_next_line_is_none_of_this_one() -> None:
    lines = [said("answered"), said("reply-goes-on", begun_s=2.7, end_s=0.6), said("stops-reply", begun_s=4.0)]
    evidence = PerformanceEvidence(
        0.02, rate_hz=RATE_HZ, chunks=(audio(2.0, 6.0),), speech_started_s=(4.45,), replies=(ReplyTold(0, "", 3.0),)
    )
    assert {c.measure: c.verdict for c in behaviour.measure(lines, evidence) if c.line > 1} == {
        "false_interruptions": "held",
        "missed_interruptions": "held",
        "late_stops": "held",
    }


@pytest.mark.parametrize(
    ("text", "verdict"),
    [("The time is three.", "held"), ("Il est trois heures.", "broken"), ("Ok", "undecided"), ("", "undecided")],
)
def test_the_language_of_an_answer(text: str, verdict: str) -> None:
    checks = found([said("answered", "own-language")], chunks=(audio(2.0, 1.0),), replies=(ReplyTold(0, text, 2.5),))
    assert checks["wrong_language"].verdict == verdict
    assert verdicts([said("answered", "own-language")])["wrong_language"] == "undecided"


def test_what_was_not_said_shows_nothing() -> None:
    lines = [said("answered"), said("stops-reply", "answered", begun_s=None)]
    checks = behaviour.measure(lines, PerformanceEvidence(0.02, chunks=(audio(2.0, 0.3),), unsaid="it was over"))
    unsaid = [check for check in checks if check.line == 2]
    assert [(c.measure, c.verdict, c.told) for c in unsaid] == [
        ("missed_interruptions", "undecided", "it was over"),
        ("premature", "undecided", "it was over"),
        ("unanswered", "undecided", "it was over"),
    ]


def test_after_an_error_nothing_counts_as_held() -> None:
    assert verdicts([said("not-answered")], "it died") == {"false_answers": "undecided"}
    assert verdicts([said("answered")], "it died") == {"premature": "undecided", "unanswered": "broken"}
    assert verdicts([said("not-answered")], "it died", chunks=(audio(2.0, 1.0),)) == {"false_answers": "broken"}
    lines = [said("answered"), said("not-answered", begun_s=5.0)]
    checks = behaviour.measure(lines, PerformanceEvidence(0.02, chunks=(audio(2.0, 1.0),)), "it died")
    assert [check.verdict for check in checks] == ["held", "held", "held", "undecided"]


def test_how_a_scenario_comes_out() -> None:
    held, broken = Check("premature", 1, "held", ""), Check("unanswered", 1, "broken", "")
    undecided = Check("surplus", 1, "undecided", "")
    plain, late = PerformanceEvidence(0.02), PerformanceEvidence(0.02, lateness_s=(0.03,))
    assert behaviour.outcome([held], plain, None) == "held"
    assert behaviour.outcome([held, undecided], plain, None) == "undecided"
    assert behaviour.outcome([held, undecided, broken], plain, None) == "broken"
    assert behaviour.outcome([], plain, None) == "undecided"
    assert behaviour.outcome([broken], plain, "it died") == "error"
    assert behaviour.outcome([broken], late, "it died") == "invalid"
