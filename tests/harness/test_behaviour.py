"""The measure of behaviour, on evidence written by hand; and the player, with servers that follow a script."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from client.events import Failed, Heard, ReplyAudio, ReplyEnded, SpeechStarted, Spoken
from client.play import LoopClock
from harness import gates, scenario_gates, virtual_time
from harness.fixtures import Fixture
from harness.fixtures.scenarios import Cue, Line, Scenario
from harness.measures import behaviour
from harness.measures.behaviour import Check
from harness.recording import Arrival
from harness.results import RunHeader, ScenarioRow
from harness.scenarios.loudspeaker import Loudspeaker
from harness.scenarios.performance import PerformanceEvidence, ReplyTold, Said
from harness.scenarios.performer import SETTLE_S, WATCH_S, perform
from harness.scoring import score_scenario, score_scenario_again

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


def test_a_loudspeaker_plays_in_order_and_stops_until_the_next_reply() -> None:
    loudspeaker = Loudspeaker()
    assert loudspeaker.take(1.0, 0.5) == 1.0
    assert loudspeaker.take(1.1, 0.5) == 1.5
    assert loudspeaker.take(3.0, 0.5) == 3.0
    loudspeaker.stop(3.2)
    assert loudspeaker.silent_from_s == 3.2
    assert loudspeaker.take(3.3, 0.5) is None
    loudspeaker.stop(9.0)
    assert loudspeaker.silent_from_s == 3.2
    loudspeaker.begin()
    assert loudspeaker.take(3.4, 0.5) == 3.4


# The player

SOUND = ReplyAudio(b"\x00\x08" * RATE_HZ)  # a second of it
QUESTION = Line("en_tone", None, None, Cue("after", 0.0), 0.0, 0.0, None, False, ("answered",))


def scenario(*lines: Line) -> Scenario:
    return Scenario("en-made-up", "Made up.", "en", lines, None)


def play(target: object, clip: Fixture, *lines: Line, **settings: object) -> ScenarioRow:
    made = virtual_time.run(perform(scenario(*lines), {clip.id: clip}, target, **settings))  # type: ignore[arg-type]  # as above
    return score_scenario(made, "Made up.")


def test_lines_are_said_when_a_caller_would_say_them(make_clip, scripted_target) -> None:
    """The clip is a tone from 0 to 0.4 s of 0.5; the answer comes at 1.0 and lasts 3 s, though it is sent at once."""
    script = [
        (0.9, Heard("hello")),
        (1.0, Spoken("Hi.")),
        (1.0, SOUND),
        (1.01, SOUND),
        (1.02, SOUND),
        (1.1, ReplyEnded()),
    ]
    over_it = replace(QUESTION, cue=Cue("into-reply", 1.0), expect=("reply-goes-on", "not-answered"))
    target = scripted_target(script)
    row = play(target, make_clip(), QUESTION, over_it)
    assert [line.begun_s for line in row.said] == pytest.approx([0.0, 2.0])
    assert [line.speech_end_s for line in row.said] == pytest.approx([0.4, 2.4])
    assert row.outcome == "held"
    assert row.evidence.over_s == pytest.approx(2.5 + WATCH_S, abs=0.03)
    assert [told.text for told in row.evidence.heard] == ["hello"]
    assert row.evidence.replies == (ReplyTold(0, "Hi.", pytest.approx(1.1)),)
    assert target.languages == ["en"]
    after = replace(QUESTION, cue=Cue("after-reply", 0.8), expect=("not-answered",))
    row = play(scripted_target(script), make_clip(), QUESTION, after)
    assert row.said[1].begun_s == pytest.approx(1.0 + 3.0 + 0.8, abs=0.021)
    straight = replace(QUESTION, cue=Cue("after", 0.2), expect=("not-answered",))
    row = play(scripted_target([]), make_clip(), replace(QUESTION, expect=("not-answered",)), straight)
    assert row.said[1].begun_s == pytest.approx(0.7)


def test_what_is_sent_is_what_the_lines_sound_like(make_clip, scripted_target) -> None:
    target = scripted_target([(1.0, SOUND), (1.1, ReplyEnded())])
    row = play(target, make_clip(), QUESTION)
    sent = b"".join(target.sent)
    assert len(target.sent[0]) == 640
    assert any(sent[:16_000])
    assert not any(sent[16_000:])
    assert row.evidence.over_s == pytest.approx(1.1 + SETTLE_S, abs=0.03)
    assert max(row.evidence.lateness_s) < 1e-6


def test_a_reply_that_is_too_short_to_be_spoken_over(make_clip, scripted_target) -> None:
    over_it = replace(QUESTION, cue=Cue("into-reply", 3.0), expect=("stops-reply",))
    row = play(scripted_target([(1.0, SOUND), (1.1, ReplyEnded())]), make_clip(), QUESTION, over_it)
    assert row.said[1].begun_s is None
    assert row.evidence.unsaid == "the reply was over after 1.00 s, before it could be spoken over"
    assert row.outcome == "undecided"


def test_a_reply_that_never_comes_is_not_waited_for_for_ever(make_clip, scripted_target) -> None:
    after = replace(QUESTION, cue=Cue("after-reply", 0.8))
    row = play(scripted_target([]), make_clip(), QUESTION, after, limit_s=2.0)
    assert row.evidence.unsaid == "there was no reply to wait for"
    assert row.outcome == "broken"
    assert row.evidence.over_s == pytest.approx(2.5, abs=0.03)


def test_a_stop_ends_what_the_loudspeaker_plays(make_clip, scripted_target) -> None:
    over_it = replace(QUESTION, cue=Cue("into-reply", 0.5), expect=("stops-reply",))
    script = [(1.0, SOUND), (1.0, SOUND), (1.0, SOUND), (1.65, SpeechStarted()), (1.66, ReplyEnded(cancelled=True))]
    row = play(scripted_target(script), make_clip(), QUESTION, over_it)
    assert row.outcome == "held"
    assert row.said[1].speech_start_s == pytest.approx(1.5)
    assert row.evidence.speech_started_s == (pytest.approx(1.65),)


def test_a_failure_is_kept_with_what_came_before(make_clip, scripted_target) -> None:
    row = play(scripted_target([(1.0, SOUND), (1.2, Failed("no memory"))]), make_clip(), QUESTION)
    assert (row.outcome, row.error) == ("error", "no memory")
    fell_silent = play(scripted_target([(1.0, SOUND)]), make_clip(), QUESTION, limit_s=2.0)
    assert fell_silent.error == "the reply fell silent for 2 s without ending"


def test_several_languages_are_left_to_the_server(make_clip, scripted_target) -> None:
    clips = {"en_tone": make_clip(), "fr_tone": make_clip("fr_tone", "fr")}
    target = scripted_target([])
    lines = (replace(QUESTION, expect=("not-answered",)), replace(QUESTION, clip="fr_tone", cue=Cue("after", 0.1)))
    virtual_time.run(perform(scenario(*lines), clips, target, limit_s=1.0))
    assert target.languages == ["auto"]


def test_a_late_sender_makes_the_scenario_invalid(make_clip, scripted_target) -> None:
    class LateOnce(LoopClock):
        async def sleep_until(self, at_s: float) -> None:
            await super().sleep_until(at_s + (0.021 if abs(at_s - 0.2) < 0.001 else 0.0))

    row = play(scripted_target([(1.0, SOUND), (1.1, ReplyEnded())]), make_clip(), QUESTION, clock=LateOnce())
    assert row.outcome == "invalid"


def test_a_stored_scenario_is_measured_again(make_clip, scripted_target) -> None:
    row = play(scripted_target([(1.0, SOUND), (1.1, ReplyEnded())]), make_clip(), QUESTION)
    assert row.outcome == "held"
    assert score_scenario_again(replace(row, checks=(), outcome="broken", versions={})) == row


# The gates


def rows(held: int, broken: int = 0, undecided: int = 0, language: str = "en") -> list[ScenarioRow]:
    kinds = ["held"] * held + ["broken"] * broken + ["undecided"] * undecided
    evidence = PerformanceEvidence(0.02)
    return [
        ScenarioRow(f"{language}-{n}", language, "", "held", (Check("surplus", 1, kind, "so"),), (), evidence)  # type: ignore[arg-type]  # as above
        for n, kind in enumerate(kinds)
    ]


def decide(
    path: Path, played: list[ScenarioRow], limits: str = "surplus = 0.25", **header: object
) -> dict[str, object]:
    path.write_text(f"[profiles.embedded.all]\n{limits}\n")
    made = RunHeader("realtime", "embedded", "", "", ("en",), planned=(), scenarios=("a",))
    made = replace(made, **header)  # type: ignore[arg-type]  # as above
    return {row.gate: row for row in scenario_gates.decide(gates.load(path), made, played)}


@pytest.mark.parametrize(
    ("held", "broken", "undecided", "verdict"),
    [
        (11, 0, 0, "pass"),
        (10, 0, 0, "not gated"),
        (10, 0, 5, "not gated"),
        (9, 1, 0, "inconclusive"),  # too few to show anything, but nothing that went wrong is passed over
        (19, 1, 0, "pass"),
        (6, 6, 0, "inconclusive"),
        (5, 7, 0, "fail"),
        (0, 0, 3, "inconclusive"),
        (0, 0, 0, "not gated"),
    ],
)
def test_a_limit_is_kept_broken_or_undecided(
    held: int, broken: int, undecided: int, verdict: str, tmp_path: Path
) -> None:
    found = decide(tmp_path / "gates.toml", rows(held, broken, undecided))["surplus"]
    assert found.verdict == verdict, found.reason
    assert found.n == held + broken
    if broken:
        assert f"en-{held}" in found.reason


def test_invalid_scenarios_do_not_count_and_too_many_make_the_run_invalid(tmp_path: Path) -> None:
    late = [replace(row, outcome="invalid") for row in rows(0, 10)]
    found = decide(tmp_path / "gates.toml", [*rows(11, language="fr"), *late])
    assert found["scenarios"].verdict == "invalid"
    assert (found["surplus"].verdict, found["surplus"].n) == ("pass", 11)
    again = [*late, *rows(11)]  # each was played once more, on time
    assert decide(tmp_path / "gates.toml", again)["scenarios"].verdict == "pass"
    assert decide(tmp_path / "gates.toml", [])["scenarios"].reason == "no scenario was played"


def test_nothing_decided_is_no_pass(tmp_path: Path) -> None:
    few = decide(tmp_path / "gates.toml", rows(3))
    assert few["behaviour"].verdict == "inconclusive"
    assert gates.exit_code(list(few.values())) == 2
    assert decide(tmp_path / "gates.toml", rows(3), profile="unknown")["limits"].verdict == "inconclusive"


def test_a_language_has_limits_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "gates.toml"
    path.write_text("[profiles.embedded.each]\nsurplus = 0.25\n")
    header = RunHeader("realtime", "embedded", "", "", ("en", "fr"), planned=(), scenarios=("a",))
    played = [*rows(12), *rows(2, 10, language="fr")]
    found = {
        row.language: row.verdict
        for row in scenario_gates.decide(gates.load(path), header, played)
        if row.gate == "surplus"
    }
    assert found == {"en": "pass", "fr": "fail"}
