"""A run keeps what it measured, however it ends."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from client.connection import UnavailableError
from client.events import Failed, Heard, ReplyAudio, ReplyEnded, Spoken
from client.play import LoopClock
from harness import baseline, gates, history, sequential, virtual_time
from harness.fixtures import Fixture, FixtureError
from harness.gates import exit_code
from harness.recording import Outcome
from harness.rescoring import rescore
from harness.results import Results, read
from harness.run import open_run
from harness.run_settings import RunSettings, choose, default_folder, parse_languages

ANSWER = [
    (0.6, Heard("hello")),
    (0.7, Spoken("Hi.")),
    (0.8, ReplyAudio(b"\x00\x08" * 4800)),
    (1.0, ReplyEnded({"pause_s": 0.6})),
]


@pytest.fixture
def reported(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The folders of which a report was written."""
    folders: list[Path] = []
    monkeypatch.setattr("harness.reports.write_all", lambda folder, **_: folders.append(folder))
    return folders


@pytest.fixture
def play(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reported: list[Path]) -> Iterator[Callable[..., Results]]:
    """Plays clips into a scripted target and reads what the run left; `stop_after` breaks it off there."""

    def run(target: object, clips: list[Fixture], *, stop_after: int | None = None, **others: Any) -> Results:
        @asynccontextmanager
        async def scripted(*_arguments: object, **_settings: object) -> AsyncIterator[object]:
            yield target

        monkeypatch.setattr("harness.run.open_target", scripted)
        monkeypatch.setattr("harness.machine.calibrate", lambda: 50.0)  # or a busy machine would excuse what is slower
        settings = RunSettings(folder=tmp_path / "report", target="realtime", languages=("en", "fr"), **others)

        async def everything() -> None:
            async with open_run(settings, clips) as open_one:
                for number, clip in enumerate(clips):
                    if number == stop_after:
                        raise asyncio.CancelledError
                    await open_one.turn(clip)
                async for _ in open_one.replays():
                    pass

        if stop_after is None:
            virtual_time.run(everything())
        else:
            with pytest.raises(asyncio.CancelledError):
                virtual_time.run(everything())
        assert reported == [settings.folder]
        return read(settings.folder)

    return run


def outcomes(results: Results) -> list[str]:
    return [row.outcome for row in results.turns]


def test_a_run_is_measured_decided_and_reported(make_clip, scripted_target, play, tmp_path: Path) -> None:
    target = scripted_target(ANSWER, said={"version": "1.2", "lm.fr": "echo"})
    results = play(target, [make_clip("en_1"), make_clip("fr_1", "fr")])
    assert outcomes(results) == ["answered", "answered"]
    assert results.turns[0].latency.first_byte_s == pytest.approx(0.4)
    assert [row.latency.cold for row in results.turns] == [True, False]
    assert target.languages == ["en", "fr"]
    header = results.header
    assert (header.target, header.profile, header.tier, header.languages) == (
        "realtime",
        "embedded",
        "synthetic",
        ("en", "fr"),
    )
    assert (header.server, header.lm) == ({"version": "1.2"}, {"fr": "echo"})
    assert results.verdicts
    assert (tmp_path / "report" / str(results.turns[1].question)).is_file()
    assert (tmp_path / "report" / str(results.turns[1].reply)).is_file()


def test_an_invalid_turn_is_played_once_more_and_counted_twice(
    make_clip, scripted_target, play, monkeypatch: pytest.MonkeyPatch
) -> None:
    late = iter([0.05])

    class LateOnce(LoopClock):
        async def sleep_until(self, at_s: float) -> None:
            await super().sleep_until(at_s + next(late, 0.0))

    monkeypatch.setattr("harness.run.LoopClock", LateOnce)
    results = play(scripted_target(ANSWER), [make_clip()])
    assert outcomes(results) == ["invalid", "answered"]
    assert [row.repeat for row in results.turns] == [0, 1]


def test_a_server_that_dies_half_way_leaves_what_was_measured_and_no_pass(make_clip, scripted_target, play) -> None:
    clips = [make_clip(f"en_{n}") for n in range(5)]
    target = scripted_target(ANSWER, [(0.6, Failed("it died"))], UnavailableError("nothing listens there"))
    results = play(target, clips)
    assert outcomes(results) == ["answered", *["error"] * 4]
    assert [row.error for row in results.turns] == [
        None,
        "it died",
        "nothing listens there",
        "nothing listens there",
        "not played: the server could not be reached before",
    ]
    assert [row.latency.cold for row in results.turns] == [True, *[False] * 4]
    assert len(target.languages) == 4
    assert results.verdicts[-1].reason == "the server could not be reached any more: nothing listens there"
    assert exit_code(results.verdicts) == 1


def test_a_run_that_is_stopped_keeps_its_rows_and_is_no_pass(make_clip, scripted_target, play) -> None:
    clips = [make_clip(f"en_{n}") for n in range(3)]
    results = play(scripted_target(ANSWER), clips, stop_after=1)
    assert outcomes(results) == ["answered"]
    assert "2 of 3 clips were not played" in results.verdicts[-1].reason
    assert exit_code(results.verdicts) != 0


def test_whatever_the_target_raises_is_the_turns_error(make_clip, scripted_target, play) -> None:
    target = scripted_target(ZeroDivisionError("in a model"), ANSWER)
    results = play(target, [make_clip("en_1"), make_clip("en_2")])
    assert outcomes(results) == ["error", "answered"]
    assert results.turns[0].error == "ZeroDivisionError: in a model"


def test_the_cold_start_is_the_first_conversation_that_could_be_had(make_clip, scripted_target, play) -> None:
    target = scripted_target(UnavailableError("not yet"), ANSWER)
    results = play(target, [make_clip("en_1"), make_clip("en_2"), make_clip("en_3")])
    assert [row.latency.cold for row in results.turns] == [False, True, False]


def test_a_token_is_never_shown() -> None:
    assert "key" not in repr(RunSettings(folder=Path("report"), token="".join("key")))


def test_clips_are_chosen_a_language_after_the_other_in_turn(make_clip, monkeypatch: pytest.MonkeyPatch) -> None:
    found = [make_clip("en_1"), make_clip("en_2"), make_clip("fr_1", "fr")]
    monkeypatch.setattr("harness.fixtures.available", lambda *_settings, **_more: found)
    settings = RunSettings(folder=Path("report"), languages=("en", "fr"))
    assert [clip.id for clip in choose(settings)] == ["en_1", "fr_1", "en_2"]


def test_nothing_to_play_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.fixtures.available", lambda *_settings, **_more: [])
    with pytest.raises(FixtureError, match="no clips for the languages ko in tier auto"):
        choose(RunSettings(folder=Path("report"), languages=("ko",)))


def test_languages_are_a_list_of_codes() -> None:
    assert parse_languages("en, fr,en") == ("en", "fr")
    with pytest.raises(FixtureError, match="unknown language 'de'"):
        parse_languages("en,de")


def test_a_report_has_a_place_of_its_own() -> None:
    folder = default_folder("realtime")
    assert folder.parent == Path("reports")
    assert folder.name.endswith("-realtime")


GATES = """
[profiles.embedded.en]
ttfa_s = { p50 = 2.0 }
[profiles.embedded.fr]
ttfa_s = { p50 = 0.4, p95 = 0.4 }
"""


@pytest.fixture
def limits(tmp_path: Path) -> Path:
    """English is decided after five turns or more; the script's 0.4 s leave French on its limit for ever."""
    path = tmp_path / "gates.toml"
    path.write_text(GATES)
    return path


def plays(results: Results) -> Counter[str]:
    return Counter(row.language for row in results.turns)


def test_without_a_budget_each_clip_is_played_once(make_clip, scripted_target, play, limits: Path) -> None:
    results = play(scripted_target(ANSWER), [make_clip("en_1"), make_clip("fr_1", "fr")], gates=limits)
    assert plays(results) == {"en": 1, "fr": 1}
    assert sequential.load(limits.parent / "report") == []


def test_clips_of_undecided_languages_are_played_until_they_are_decided(
    make_clip, scripted_target, play, limits: Path
) -> None:
    limits.write_text("[profiles.embedded.en]\nttfa_s = { p50 = 2.0 }\n[profiles.embedded.fr]\nclipping = 0\n")
    clips = [make_clip("en_1"), make_clip("en_2"), make_clip("fr_1", "fr")]
    results = play(scripted_target(ANSWER), clips, gates=limits, budget_s=600)
    (median,) = [row for row in results.verdicts if row.gate == "ttfa_s p50"]
    assert median.verdict == "pass"
    assert plays(results) == {"en": median.n + 1, "fr": 1}  # the cold start is in no quantile
    assert 6 <= median.n <= 20
    assert [row.repeat for row in results.turns if row.fixture_id == "en_1"] == list(range((median.n + 1) // 2))
    looks = sequential.load(limits.parent / "report")
    assert looks[-1].turns == len(results.turns)
    assert 0 < looks[0].spent < looks[-1].spent < 1


def test_the_verdicts_can_be_made_again_from_the_looks(make_clip, scripted_target, play, limits: Path) -> None:
    clips = [make_clip("en_1"), make_clip("fr_1", "fr")]
    results = play(scripted_target(ANSWER), clips, gates=limits, budget_s=60)
    again = gates.decide(gates.load(limits), results.header, results.turns, sequential.load(limits.parent / "report"))
    assert tuple(again) == results.verdicts


def test_the_budget_is_spent_over_the_undecided_and_not_overdrawn(
    make_clip, scripted_target, play, limits: Path
) -> None:
    limits.write_text("[profiles.embedded.each]\nttfa_s = { p50 = 0.4000005 }\n")
    late = [(at_s + (0.2 if at_s > 0.75 else 0), event) for at_s, event in ANSWER]
    clips = [make_clip("en_1"), make_clip("fr_1", "fr")]
    target = scripted_target(*[ANSWER, ANSWER, late, late] * 40)
    results = play(target, clips, gates=limits, budget_s=60)
    assert {row.verdict for row in results.verdicts if row.gate == "ttfa_s p50"} == {"inconclusive"}
    found = plays(results)
    assert abs(found["en"] - found["fr"]) <= 1
    looks = sequential.load(limits.parent / "report")
    assert looks[-1].spent == 1
    assert looks[-1].turns == len(results.turns)
    assert found["en"] * 2 * 1.02 <= 60 + 2  # a turn of this script takes little more than a second


def test_a_limit_for_which_there_is_no_time_is_not_waited_for(make_clip, scripted_target, play, limits: Path) -> None:
    limits.write_text("[profiles.embedded.en]\nttfa_s = { p50 = 2.0, p95 = 2.0 }\n")
    results = play(scripted_target(ANSWER), [make_clip("en_1")], gates=limits, budget_s=40)
    assert {row.gate: row.verdict for row in results.verdicts if row.limit is not None and row.family == "latency"} == {
        "ttfa_s p50": "pass",
        "ttfa_s p95": "not gated",
    }
    assert len(results.turns) < 20


def test_a_server_lost_while_playing_on_fails_the_run(make_clip, scripted_target, play, limits: Path) -> None:
    gone = UnavailableError("nothing listens there")
    target = scripted_target(*[ANSWER] * 4, gone)
    results = play(target, [make_clip("fr_1", "fr")], gates=limits, budget_s=600)
    assert outcomes(results) == [*["answered"] * 4, "error", "error"]
    (lost,) = [row for row in results.verdicts if row.gate == "server"]
    assert (lost.verdict, lost.family) == ("fail", "run")
    assert exit_code(results.verdicts) == 1


def turn_of(results: Results, language: str, ttfa_s: float, outcome: Outcome = "answered") -> Any:
    (first, *_) = results.turns
    return replace(
        first,
        language=language,
        fixture_id=language,
        outcome=outcome,
        latency=replace(first.latency, ttfa_s=ttfa_s, cold=False),
    )


def test_what_is_played_on_for_one_language_does_not_change_all_of_them(
    make_clip, scripted_target, play, limits: Path
) -> None:
    """The slow language alone is played on; the median of all stays that of the rounds in which all were heard."""
    limits.write_text("[profiles.embedded.all]\nttfa_s = { p50 = 1.5 }\n")
    results = play(scripted_target(ANSWER), [make_clip("en_1")], gates=limits)
    rounds = [turn_of(results, language, 1.0) for _ in range(8) for language in ("en", "fr")]
    rows = [*rounds, *(turn_of(results, "fr", 5.0) for _ in range(40))]
    looks = [sequential.Look(len(rounds), 0.5), sequential.Look(len(rows), 1.0)]
    verdicts = gates.decide(gates.load(limits), replace(results.header, languages=()), rows, looks)
    (median,) = [row for row in verdicts if (row.gate, row.language) == ("ttfa_s p50", "all")]
    assert (median.verdict, median.value, median.n) == ("pass", 1.0, 16)


def test_a_run_is_held_against_a_baseline_and_added_to_the_history(
    make_clip, scripted_target, play, reported: list[Path], tmp_path: Path, limits: Path
) -> None:
    clips = [make_clip(f"en_{n}") for n in range(6)]
    limits.write_text("[profiles.embedded.each]\nttfa_s = { p50 = 2.0 }\n")
    places: dict[str, Any] = {"gates": limits, "history": tmp_path / "history.jsonl"}
    play(scripted_target(ANSWER), clips, budget_s=60, **places)
    baseline.accept([tmp_path / "report"], tmp_path / "baseline", force=True)
    reported.clear()
    late = [(at_s + (0.2 if at_s > 0.75 else 0), event) for at_s, event in ANSWER]
    results = play(scripted_target(late), clips, baseline=tmp_path / "baseline", **places)
    verdicts = {row.gate: row.verdict for row in results.verdicts}
    assert verdicts["ttfa_s against the baseline"] == "fail"
    assert exit_code(results.verdicts) == 1
    lines = history.load(tmp_path / "history.jsonl").lines
    assert {line.gate for line in lines} == {"ttfa_s p50"}
    assert [line.value for line in lines] == [pytest.approx(0.4), pytest.approx(0.6)]


def test_a_run_without_its_baseline_does_not_begin(make_clip, scripted_target, play, reported, tmp_path: Path) -> None:
    target = scripted_target(ANSWER)
    with pytest.raises(baseline.BaselineError, match="there is no baseline"):
        play(target, [make_clip()], baseline=tmp_path / "baseline")
    assert not target.languages
    assert not reported


def test_a_history_that_cannot_be_written_does_not_cost_the_report(
    make_clip, scripted_target, play, reported: list[Path], tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file"):
        play(scripted_target(ANSWER), [make_clip()], history=tmp_path / "file" / "history.jsonl")
    assert reported == [tmp_path / "report"]


def test_a_run_with_a_budget_comes_out_the_same_when_it_is_scored_again(
    make_clip, scripted_target, play, limits: Path
) -> None:
    limits.write_text("[profiles.embedded.each]\nttfa_s = { p50 = 0.4000005 }\n")
    late = [(at_s + (0.2 if at_s > 0.75 else 0), event) for at_s, event in ANSWER]
    results = play(scripted_target(*[ANSWER, late] * 40), [make_clip("en_1")], gates=limits, budget_s=60)
    again = rescore(limits.parent / "report")
    assert again.kept is None
    assert again.results == results


def test_a_server_that_was_lost_stays_lost_when_the_run_is_scored_again(
    make_clip, scripted_target, play, limits: Path
) -> None:
    target = scripted_target(ANSWER, UnavailableError("nothing listens there"))
    play(target, [make_clip(name) for name in ("en_1", "en_2", "en_3")])
    limits.write_text("[profiles.embedded.en]\nclipping = 0\n")
    again = rescore(limits.parent / "report", limits=limits)
    assert exit_code(again.results.verdicts) == 1
    assert [row.verdict for row in again.results.verdicts if row.gate == "server"] == ["fail"]
