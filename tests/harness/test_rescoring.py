"""A stored run measured again, and the two commands that do it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from click.testing import CliRunner, Result
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from cli.report import report
from cli.rescore import rescore as rescore_command
from harness import gates, reports, results
from harness.fixtures import Fixture, available, read
from harness.judge import Judge
from harness.measures.latency import Latency
from harness.recording import Chunk, Evidence, Recording
from harness.rescoring import rescore
from harness.restoring import restore
from harness.results import FILE_NAME, GATES_NAME, SCHEMA, ResultsError, ResultsWriter, RunHeader, TurnRow
from harness.scoring import VERSIONS, score_turn
from pipeline.audio import float_to_pcm16

SCHEMA_1 = Path(__file__).parent / "runs" / "schema-1"
NO_LATENCY = Latency(None, None, None, (), (), 0.0, 0.0)
KNOWN = ("fixture_id", "language", "frame_s", "end_of_speech_s", "lateness_s", "rate_hz", "channels", "chunks")
KNOWN += ("ended_s", "cancelled", "trace", "heard", "spoken", "error")
STRICT = """
[profiles.embedded.each]
ttfa_s = { p50 = 0.5 }
clipping = 0
"""
GENEROUS = """
[profiles.embedded.each]
ttfa_s = { p10 = 60 }
"""


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory, parrot: Callable[[str], Judge]) -> Path:
    """A run of three turns: of uneven chunks that end in half a sample; one that wraps and is louder; none at all."""
    folder = tmp_path_factory.mktemp("stored")
    fixtures = available("synthetic", ["en", "ko"])[:3]
    header = RunHeader(
        "realtime", "embedded", "synthetic", "", ("en", "ko"), judge="parrot 1", planned=tuple(f.id for f in fixtures)
    )
    strict = folder / "strict.toml"
    strict.write_text(STRICT, encoding="utf-8")
    rows: list[TurnRow] = []
    with ResultsWriter(folder, header, strict) as writer:
        for index, fixture in enumerate(fixtures):
            made = Recording(fixture.id, fixture.language, "realtime", 0.02, 2.0, heard="well hello", spoken="hi there")
            made.lateness_s = [0.0001 / 3, 0.002, 0.0007]
            made.ended_s = 9.1 / 3
            made.trace = {"pause_s": 2.3, "committed_s": float("inf")}
            pcm = float_to_pcm16(read(fixture, 24_000) * (0.1 if index == 0 else 1.0))
            if index == 1:
                pcm = (40 * np.frombuffer(pcm, "<i2").astype(np.int64)).astype("<i2").tobytes()
            if index < 2:
                made.chunks = [Chunk(7.1 / 3, pcm[:9_601]), Chunk(2.5, pcm[9_601:] + b"\7")]
            else:
                made.error = "closed: \ud800"
            row = score_turn(made, fixture, parrot("hi"), before=rows)
            rows.append(writer.add_turn(row, made, fixture.path))
        writer.add_verdicts(gates.decide(gates.load(strict), header, rows))
    reports.write_all(folder)
    return folder


@pytest.fixture(scope="module")
def fixture() -> Fixture:
    return available("synthetic", ["en"], limit=1)[0]


@pytest.fixture
def run(stored: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(stored, tmp_path / "run"))


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_run_has_what_could_come_out_differently(stored: Path) -> None:
    first, second, third = results.read(stored).turns
    assert first.clipping is not None
    assert "odd-bytes" in {finding.check for finding in first.clipping.findings}
    assert first.evidence is not None
    assert sum(chunk.bytes for chunk in first.evidence.chunks) % 2 == 1
    assert second.clipping is not None
    assert {"wrap-around", "loudness-step"} < {finding.check for finding in second.clipping.findings}
    assert (third.outcome, third.floor is not None) == ("error", True)


@settings(deadline=None, max_examples=40)
@given(st.data())
def test_a_recording_comes_back_as_it_was(fixture: Fixture, data: st.DataObject) -> None:
    """Whatever a recording has, or comes to have: a field that is not stored fails here."""
    finite = st.floats(allow_nan=False, allow_infinity=False)
    texts = st.text(max_size=5)
    made = data.draw(
        st.builds(
            Recording,
            fixture_id=st.just(fixture.id),
            language=st.just(fixture.language),
            frame_s=finite,
            end_of_speech_s=st.floats(-10, 10),
            lateness_s=st.lists(st.floats(0, 1)),
            rate_hz=st.sampled_from([8_000, 16_000, 24_000]),
            channels=st.sampled_from([1, 2]),
            chunks=st.lists(st.builds(Chunk, st.floats(0, 9), st.binary(max_size=9), st.integers(0, 2)), max_size=4),
            ended_s=st.none() | finite,
            cancelled=st.lists(st.integers(0, 2)),
            trace=st.none() | st.dictionaries(texts, finite),
            **{name: st.none() | texts for name in ("heard", "spoken", "error")},
            **{field.name: ... for field in fields(Recording) if field.name not in KNOWN},
        )
    )
    made.chunks.sort(key=lambda chunk: chunk.reply)
    half = sum(len(chunk.pcm) for chunk in made.chunks) % (2 * made.channels)
    if half:  # it comes back as zeros
        last = made.chunks[-1]
        assume(len(last.pcm) >= half)
        made.chunks[-1] = replace(last, pcm=last.pcm[: len(last.pcm) - half] + bytes(half))
    header = RunHeader(made.target, "embedded", "synthetic", "")
    with TemporaryDirectory() as name:
        with ResultsWriter(Path(name), header) as writer:
            evidence = Evidence.of(made)
            plain = TurnRow(
                fixture.id, fixture.language, "", "", "", "error", NO_LATENCY, trace=made.trace, error=made.error
            )
            writer.add_turn(replace(plain, evidence=evidence), made, fixture.path)
        (row,) = results.read(Path(name)).turns
        assert restore(Path(name), made.target, row) == made


def test_the_same_measures_give_the_same_bytes(run: Path) -> None:
    before = bytes_of(run)
    outcome = rescore(run)
    reports.write_all(run)
    assert (outcome.kept, outcome.without_evidence) == (None, 0)
    assert bytes_of(run) == before


def test_an_older_measure_is_taken_again(run: Path) -> None:
    rows = results.read(run)
    versions = {**VERSIONS, "latency": 0}
    old = [replace(t, versions=versions, latency=replace(t.latency, ttfa_s=0.001), clipping=None) for t in rows.turns]
    results.write(run / FILE_NAME, replace(rows, turns=tuple(old)))
    before = (run / FILE_NAME).read_bytes()
    outcome = rescore(run)
    assert outcome.results.turns == rows.turns
    assert outcome.results.verdicts == rows.verdicts
    assert outcome.results == results.read(run)
    assert outcome.kept == run / "results.1.jsonl"
    assert outcome.kept.read_bytes() == before
    assert outcome.results.header.rescored["latency"] == str(VERSIONS["latency"])
    assert rescore(run).kept is None


def test_other_limits_decide_anew_and_stay_with_the_run(run: Path, tmp_path: Path) -> None:
    generous = tmp_path / "generous.toml"
    generous.write_text(GENEROUS, encoding="utf-8")
    assert gates.exit_code(results.read(run).verdicts) == 1
    outcome = rescore(run, limits=generous)
    assert "fail" not in {verdict.verdict for verdict in outcome.results.verdicts}
    assert outcome.results.header.rescored["limits"] == "generous.toml"
    assert (run / GATES_NAME).read_text(encoding="utf-8") == GENEROUS
    assert (run / "gates.1.toml").read_text(encoding="utf-8") == STRICT
    assert rescore(run).kept is None
    assert rescore(run, limits=run / "gates.1.toml").kept == run / "results.2.jsonl"


def test_a_judge_listens_again_only_when_asked(run: Path, parrot: Callable[[str], Judge]) -> None:
    outcome = rescore(run, judge=parrot("something else"))
    for before, after in zip(results.read(run).turns, outcome.results.turns, strict=True):
        assert after.floor is not None
        assert after.floor.hypothesis == "something else"
        assert (after.latency, after.heard, after.clipping) == (before.latency, before.heard, before.clipping)
    assert outcome.results.turns[2].echoed is None


def test_a_run_that_was_killed_is_never_a_pass(run: Path, tmp_path: Path) -> None:
    generous = tmp_path / "generous.toml"
    generous.write_text(GENEROUS, encoding="utf-8")
    whole = results.read(run)
    for planned, turns, said in (
        (whole.header.planned, whole.turns[:2], "1 of 3 clips were not played"),
        (None, whole.turns, "what it was to play is not known"),
    ):
        header = replace(whole.header, planned=planned)
        results.write(run / FILE_NAME, replace(whole, header=header, turns=turns, verdicts=()))
        last = rescore(run, limits=generous).results.verdicts[-1]
        assert (last.gate, last.verdict) == ("all played", "inconclusive")
        assert said in last.reason


def test_an_old_run_keeps_that_it_was_stopped(run: Path) -> None:
    whole = results.read(run)
    stopped = replace(whole.verdicts[0], gate="all played", verdict="inconclusive", reason="the run was stopped")
    header = replace(whole.header, planned=None)
    results.write(run / FILE_NAME, replace(whole, header=header, verdicts=(*whole.verdicts, stopped)))
    assert rescore(run).kept is None


def spoil_missing(run: Path) -> None:
    (run / "replies/en-01.wav").unlink()


def spoil_cut(run: Path) -> None:
    path = run / "replies/en-01.wav"
    path.write_bytes(path.read_bytes()[:-100])


def spoil_other(run: Path) -> None:
    shutil.copyfile(run / "questions/en-01.flac", run / "replies/en-01.wav")


def spoil_path(run: Path) -> None:
    shutil.move(run / "replies/en-01.wav", run.parent / "en-01.wav")
    text = (run / FILE_NAME).read_text(encoding="utf-8")
    (run / FILE_NAME).write_text(text.replace('"replies/en-01.wav"', '"../en-01.wav"'), encoding="utf-8")


@pytest.mark.parametrize("spoil", [spoil_missing, spoil_cut, spoil_other, spoil_path])
def test_audio_that_is_not_what_the_run_wrote_is_refused(run: Path, spoil: Callable[[Path], None]) -> None:
    spoil(run)
    before = bytes_of(run)
    with pytest.raises(ResultsError, match=r"en-01\.wav: the reply of en-01 cannot be measured again"):
        rescore(run)
    assert bytes_of(run) == before


def test_a_question_that_is_gone_cannot_be_heard_again(run: Path, parrot: Callable[[str], Judge]) -> None:
    (run / "questions/en-01.flac").unlink()
    assert rescore(run).kept is None
    with pytest.raises(ResultsError, match="the question of en-01 cannot be heard again"):
        rescore(run, judge=parrot("x"))


@pytest.fixture
def old_run(tmp_path: Path) -> Path:
    return Path(shutil.copytree(SCHEMA_1, tmp_path / "old"))


def test_a_run_of_schema_1_keeps_its_figures(old_run: Path, tmp_path: Path) -> None:
    strict = tmp_path / "strict.toml"
    strict.write_text("[profiles.embedded.each]\ncut_ins = 0.9\n", encoding="utf-8")
    before = results.read(old_run)
    outcome = rescore(old_run, limits=strict)
    assert outcome.without_evidence == len(before.turns) == 2
    assert outcome.results.turns == before.turns
    assert outcome.results.verdicts != before.verdicts
    assert outcome.results.header.schema == json.loads((old_run / FILE_NAME).open().readline())["schema"] == SCHEMA


def invoke(command: object, *arguments: str | Path) -> Result:
    return CliRunner().invoke(command, [str(argument) for argument in arguments])  # type: ignore[arg-type]  # a click command


def test_report_makes_every_view_again(run: Path) -> None:
    before = bytes_of(run)
    for name in ("report.html", "junit.xml", "summary.md"):
        (run / name).unlink()
    result = invoke(report, run / FILE_NAME)
    assert result.exit_code == 0, result.output
    assert "verdict: fail" in result.output
    assert bytes_of(run) == before


def test_report_of_a_run_of_schema_1(old_run: Path) -> None:
    assert invoke(report, old_run).exit_code == 0
    assert (old_run / "report.html").is_file()


def test_rescore_exits_as_the_gate_does(run: Path, tmp_path: Path) -> None:
    result = invoke(rescore_command, run)
    assert result.exit_code == 1, result.output
    assert "nothing comes out differently" in result.output
    generous = tmp_path / "generous.toml"
    generous.write_text(GENEROUS, encoding="utf-8")
    before = bytes_of(run)
    result = invoke(rescore_command, run, "--gates", generous, "--to", tmp_path / "anew")
    assert result.exit_code == 0, result.output
    assert bytes_of(run) == before
    assert "limits generous.toml" in (tmp_path / "anew/report.html").read_text(encoding="utf-8")
    again = invoke(rescore_command, run, "--to", tmp_path / "anew")
    assert (again.exit_code, "is there already" in again.output) == (3, True)


def test_rescore_says_what_is_wrong(run: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.toml").write_text("[profiles.embedded.each]\nttfa = 1\n", encoding="utf-8")
    result = invoke(rescore_command, run, "--gates", tmp_path / "bad.toml")
    assert (result.exit_code, "unknown key 'ttfa'" in result.output) == (3, True)
    (run / FILE_NAME).write_text("", encoding="utf-8")
    for command, code in ((report, 1), (rescore_command, 3)):
        result = invoke(command, run)
        assert (result.exit_code, "is empty" in result.output) == (code, True)
