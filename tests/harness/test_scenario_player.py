"""The player of scenarios, with servers that follow a script, and the loudspeaker that it waits for."""

from __future__ import annotations

from dataclasses import replace

import pytest

from client.events import Failed, Heard, ReplyAudio, ReplyEnded, SpeechStarted, Spoken
from client.play import LoopClock
from harness import virtual_time
from harness.fixtures import Fixture
from harness.fixtures.scenarios import Cue, Line, Scenario
from harness.results import ScenarioRow
from harness.scenarios.loudspeaker import Loudspeaker
from harness.scenarios.performance import ReplyTold
from harness.scenarios.performer import SETTLE_S, WATCH_S, perform
from harness.scoring import score_scenario, score_scenario_again

RATE_HZ = 24_000

SOUND = ReplyAudio(b"\x00\x08" * RATE_HZ)  # a second of it
QUESTION = Line("en_tone", None, None, Cue("after", 0.0), 0.0, 0.0, None, False, ("answered",))


def scenario(*lines: Line) -> Scenario:
    return Scenario("en-made-up", "Made up.", "en", lines, None)


def play(target: object, clip: Fixture, *lines: Line, **settings: object) -> ScenarioRow:
    made = virtual_time.run(perform(scenario(*lines), {clip.id: clip}, target, **settings))  # type: ignore[arg-type]  # a test's shorthand
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
