"""A run of scenarios alone: stored, told in every report, and measured again."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from client.events import ReplyAudio, ReplyEnded, SpeechStarted, Spoken
from harness import gates, reports, results, scenario_gates, virtual_time
from harness.fixtures.scenarios import Cue, Line, Scenario
from harness.reports import scenes
from harness.reports.terminal import print_summary
from harness.rescoring import rescore
from harness.results import Results, ResultsWriter, RunHeader, read
from harness.scenarios.performer import perform, unperformed
from harness.scoring import score_scenario

SOUND = ReplyAudio(b"\x00\x08" * 24_000)  # a second of it
FIRST = Line("en_tone", None, None, Cue("after", 0.0), 0.0, -6.0, None, False, ("answered",))
OVER = replace(FIRST, cue=Cue("into-reply", 0.5), expect=("stops-reply",))
HEADER = RunHeader(
    "realtime",
    "embedded",
    "synthetic",
    "2026-11-25T12:00:00+00:00",
    languages=("en",),
    planned=(),
    scenarios=("en-good", "en-bad", "en-lost"),
    left_out={"en-pause": "en_libri_61 is not here", "fr-pause": "en_libri_61 is not here"},
)
GOOD = [(1.0, SOUND), (1.0, SOUND), (1.65, SpeechStarted()), (1.7, ReplyEnded(cancelled=True))]
BAD = [(1.0, Spoken("<b>On and on.</b>")), (1.0, SOUND), (1.0, SOUND), (1.1, ReplyEnded())]


@pytest.fixture
def folder(tmp_path: Path, make_clip: Callable[..., object], scripted_target: Callable[..., object]) -> Path:
    clips = {"en_tone": make_clip()}
    with ResultsWriter(tmp_path, HEADER) as writer:
        rows = []
        for name, script in (("en-good", GOOD), ("en-bad", BAD)):
            scenario = Scenario(name, "Spoken over, it stops.", "en", (FIRST, OVER), None)
            made = virtual_time.run(perform(scenario, clips, scripted_target(script)))  # type: ignore[arg-type]  # a stand-in
            rows.append(writer.add_scenario(score_scenario(made, scenario.about, attribution="A. Speaker"), made))
        lost = unperformed(Scenario("en-lost", "Lost.", "en", (FIRST,), None), {}, "nothing listens there")
        rows.append(writer.add_scenario(score_scenario(lost, "Lost."), lost))
        writer.add_verdicts(scenario_gates.decide(gates.load(), HEADER, rows))
    return tmp_path


def test_what_was_played_is_kept(folder: Path) -> None:
    found = read(folder)
    assert [row.outcome for row in found.scenarios] == ["held", "broken", "error"]
    assert [bool(row.question) for row in found.scenarios] == [True, True, False]
    for row in found.scenarios[:2]:
        assert (folder / str(row.question)).is_file()
        assert (folder / str(row.reply)).is_file()


def test_the_page_has_the_wrong_ones_first_to_see_and_to_hear(folder: Path) -> None:
    reports.write_all(folder)
    page = (folder / "report.html").read_text(encoding="utf-8")
    places = [page.index(f"<b>{name}</b>") for name in ("en-lost", "en-bad", "en-good")]
    assert places == sorted(places)
    assert page.count("data:audio/mpeg;base64,") == 2
    assert "interruptions that did not stop the answer: the reply went on for 1.50 s, to its end" in page
    assert 'href="#turn-scenario-2" data-play="1" data-at="1.000"' in page
    assert "&lt;b&gt;On and on." in page
    assert "A. Speaker" in page
    assert "-6 dB" in page
    assert "Not played: en-pause, fr-pause: en_libri_61 is not here." in page
    assert 'id="languages"' not in page
    assert 'id="turns"' not in page


def test_the_loudspeaker_of_the_page_stops_when_the_server_says_so(folder: Path) -> None:
    good, bad, lost = read(folder).scenarios
    drawn = [scenes.draw(folder, 1, row, None) for row in (good, bad, lost)]
    assert [len(list(scenes._heard(row, _second(folder, row)))) for row in (good, bad)] == [1, 1]
    (piece,) = scenes._heard(good, _second(folder, good))
    assert (piece.start_s, piece.end_s) == (pytest.approx(1.0), pytest.approx(1.65, abs=0.001))
    (piece,) = scenes._heard(bad, _second(folder, bad))
    assert piece.end_s == pytest.approx(3.0, abs=0.001)
    assert [len(scene.flaws) for scene in drawn] == [0, 1, 0]
    assert [len(scene.speech) for scene in drawn] == [2, 2, 0]
    assert drawn[2].asked == drawn[2].replied == ""


def _second(folder: Path, row: results.ScenarioRow) -> object:
    return scenes.read_scenario(folder, row, "reply", scenes.sound.RATE_HZ)


def test_sound_that_is_gone_is_said(folder: Path) -> None:
    good = read(folder).scenarios[0]
    (folder / str(good.reply)).unlink()
    scene = scenes.draw(folder, 1, good, 64)
    assert "cannot be heard again" in scene.notes[0]
    assert scene.asked
    assert scene.replied == ""


def test_the_other_reports_tell_the_same(folder: Path) -> None:
    reports.write_all(folder)
    summary = (folder / "summary.md").read_text(encoding="utf-8")
    assert "| interruptions that did not stop the answer | 1 | 2 | 0 | 97 % |" in summary
    assert "1 of 3 scenarios came out as expected." in summary
    assert "| en-lost | error | nothing listens there |" in summary
    assert 'name="missed_interruptions"' in (folder / "junit.xml").read_text(encoding="utf-8")
    shown = io.StringIO()
    print_summary(read(folder), Console(file=shown, width=80))
    assert "1 of 3 scenarios as expected" in shown.getvalue()
    assert "en-bad: interruptions that did not stop the answer: the reply went on" in shown.getvalue()
    table = [line for line in shown.getvalue().splitlines() if line.endswith((" %", "at most"))]
    assert len(table) == 6
    assert max(map(len, table)) <= 80


def test_a_stored_run_is_measured_again(folder: Path) -> None:
    assert rescore(folder).results.scenarios == read(folder).scenarios
    before = read(folder)
    spoilt = replace(before.scenarios[0], outcome="broken", checks=())
    results.write(folder / results.FILE_NAME, replace(before, scenarios=(spoilt, *before.scenarios[1:])))
    again = rescore(folder)
    assert again.kept is not None
    assert again.results.scenarios == before.scenarios


def test_a_file_of_schema_2_is_read(tmp_path: Path) -> None:
    header = json.loads(results.to_line(replace(HEADER, schema=2)))
    del header["scenarios"], header["left_out"]
    (tmp_path / results.FILE_NAME).write_text(json.dumps(header) + "\n")
    assert read(tmp_path) == Results(replace(HEADER, schema=2, scenarios=(), left_out={}), (), ())
