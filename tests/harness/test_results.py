from __future__ import annotations

import json
import wave
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness import results, results_schema
from harness.jsonlines import LineError
from harness.measures.clipping import Clipping, Finding
from harness.measures.latency import Bar, Latency, Playback
from harness.measures.words import Errors, Pair, Words
from harness.recording import Arrival, Chunk, Evidence, Recording
from harness.results import (
    ResultsError,
    ResultsWriter,
    RunHeader,
    ScenarioRow,
    TurnRow,
    VerdictRow,
    from_line,
    to_line,
)

st.register_type_strategy(float, st.floats(allow_nan=False, allow_infinity=False))
st.register_type_strategy(str, st.text(max_size=12))

HEADER = RunHeader("realtime", "embedded", "synthetic", "2026-11-22T12:00:00+00:00", lm={"en": "smollm2"})
WORDS = Words("characters", Errors(1, 1, 0, 1), Errors(0, 1, 0, 0), "一般", "一版。", (Pair("substitute", "般", "版"),))
TURN = TurnRow(
    fixture_id="zh-01",
    language="zh",
    tier="synthetic",
    speaker="zf_xiaobei",
    transcript="一般",
    outcome="cut-in",
    latency=Latency(-0.5, -0.4, None, (Playback(60, -0.4, 1, 0.02),), (Bar("pause", None, 0.0),), 0.001, 0.004),
    clipping=Clipping((Finding("rate", "fail", 0, 0.0, 8_000, 24_000, "Hz"),), 1.0, -3.0, None, "short"),
    heard=WORDS,
    trace={"pause_s": 1.2},
    versions={"latency": 1},
    evidence=Evidence(0.02, 1.0, (0.0001,), chunks=(Arrival(1.5, 3), Arrival(1.6, 2)), heard="一版。"),
)
ROWS = (
    st.builds(RunHeader, schema=st.just(results.SCHEMA))
    | st.from_type(TurnRow)
    | st.from_type(ScenarioRow)
    | st.from_type(VerdictRow)
)
VERDICT = VerdictRow("ttfa_s p50", "latency", "zh", "inconclusive", 3, "n too small", limit=1.6)


@settings(max_examples=50)
@given(ROWS)
def test_a_row_survives_the_file(row: results.Row) -> None:
    line = to_line(row)
    assert "\n" not in line
    assert from_line(line) == row


@given(
    st.text(max_size=80) | st.recursive(st.none() | st.booleans() | st.floats() | st.text(), st.lists).map(json.dumps)
)
def test_any_line_is_a_row_or_a_clear_error(line: str) -> None:
    with pytest.raises(LineError):
        from_line(line)


@given(st.data())
def test_a_row_with_one_wrong_value_is_a_clear_error_or_a_row(data: st.DataObject) -> None:
    value = json.loads(data.draw(st.sampled_from([to_line(HEADER), to_line(TURN), to_line(VERDICT)])))
    field = data.draw(st.sampled_from(sorted(value)))
    value[field] = data.draw(st.none() | st.booleans() | st.integers() | st.text() | st.just([1]) | st.just({"a": [1]}))
    line = json.dumps(value)
    try:
        row = from_line(line)
    except LineError:
        return
    assert from_line(to_line(row)) == row


@pytest.mark.parametrize(
    ("line", "named"),
    [
        ("{", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ('{"kind":"verdict","n":' + "9" * 5_000 + "}", "not JSON"),
        ("[]", "a JSON object is expected, not a list"),
        ('{"kind":"score"}', "'kind'"),
        (to_line(HEADER).replace('"schema":3', '"schema":4'), "schema 4 and this version reads 1, 2, 3"),
        (to_line(VERDICT).replace('"n":3', '"n":"3"'), "VerdictRow.n: int is expected, not text"),
        (to_line(VERDICT).replace('"n":3', '"n":true'), "VerdictRow.n"),
        (to_line(VERDICT).replace('"limit":1.6', '"limit":1e999'), "finite"),
        (to_line(VERDICT).replace('"limit":1.6', '"limit":NaN'), "NaN is not JSON"),
        (to_line(VERDICT).replace('"limit":1.6', '"limit":1' + "0" * 400), "finite"),
        (to_line(VERDICT).replace("inconclusive", "maybe"), "'maybe'"),
        (to_line(VERDICT).replace('"reason"', '"because"'), "unknown field 'because'"),
        (to_line(TURN).replace('"transcript":"一般",', ""), "'transcript' is missing"),
        (to_line(TURN).replace('"hits":1', '"hits":[]'), "TurnRow.heard.counts.hits"),
        (to_line(TURN).replace('"pause_s":1.2', '"pause_s":null'), "TurnRow.trace.pause_s"),
    ],
)
def test_a_hostile_line_is_an_error_that_names_the_place(line: str, named: str) -> None:
    with pytest.raises(LineError) as error:
        from_line(line)
    assert named in str(error.value)


def write(folder: Path, *lines: str) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / results.FILE_NAME).write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    return folder


def test_a_run_is_read_as_it_was_written(tmp_path: Path) -> None:
    found = results.read(write(tmp_path / "run", to_line(HEADER), to_line(TURN), to_line(VERDICT)))
    assert found == results.Results(HEADER, (TURN,), (VERDICT,))


@pytest.mark.parametrize(
    ("lines", "named"),
    [
        ([], "is empty"),
        ([to_line(TURN)], "line 1: the run's header is the first line"),
        ([to_line(HEADER), to_line(HEADER)], "line 2: the run's header is the first line, and only that"),
        ([to_line(HEADER), to_line(TURN), "oops"], "line 3: not JSON"),
    ],
)
def test_a_broken_file_is_an_error_that_names_the_line(tmp_path: Path, lines: list[str], named: str) -> None:
    with pytest.raises(ResultsError) as error:
        results.read(write(tmp_path / "run", *lines))
    assert named in str(error.value)


def test_a_file_that_is_not_there_or_not_text_is_named(tmp_path: Path) -> None:
    with pytest.raises(ResultsError, match=r"results\.jsonl cannot be read"):
        results.read(tmp_path)
    (tmp_path / results.FILE_NAME).write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ResultsError, match=r"results\.jsonl cannot be read"):
        results.read(tmp_path)


def recording(*pieces: bytes) -> Recording:
    made = Recording("zh-01", "zh", "realtime", 0.02, 1.0, rate_hz=16_000)
    made.chunks = [Chunk(1.5, piece) for piece in pieces]
    return made


def test_the_writer_keeps_the_sounds(tmp_path: Path) -> None:
    question = tmp_path / "zh-01.flac"
    question.write_bytes(b"fLaC")
    with ResultsWriter(tmp_path / "run", HEADER) as writer:
        first = writer.add_turn(TURN, recording(b"\1\2\3", b"\4\5"), question)
        again = writer.add_turn(replace(TURN, repeat=1), recording(), question)
        writer.add_verdicts([VERDICT])
    assert (first.question, first.reply) == ("questions/zh-01.flac", "replies/zh-01.wav")
    assert (again.question, again.reply) == ("questions/zh-01-1.flac", None)
    assert (tmp_path / "run/questions/zh-01.flac").read_bytes() == b"fLaC"
    with wave.open(str(tmp_path / "run/replies/zh-01.wav")) as file:
        assert (file.getframerate(), file.readframes(9)) == (16_000, b"\1\2\3\4")
    assert results.read(tmp_path / "run") == results.Results(HEADER, (first, again), (VERDICT,))


def test_a_fixture_cannot_write_outside_of_the_folder(tmp_path: Path) -> None:
    question = tmp_path / "q.flac"
    question.touch()
    with ResultsWriter(tmp_path / "run", HEADER) as writer:
        row = writer.add_turn(replace(TURN, fixture_id="../../evil"), recording(b"\0\0"), question)
    assert row.reply == "replies/.._.._evil.wav"


def test_a_new_run_replaces_the_old_one(tmp_path: Path) -> None:
    (tmp_path / "replies").mkdir()
    (tmp_path / "replies/old.wav").touch()
    with ResultsWriter(tmp_path, HEADER):
        assert results.read(tmp_path) == results.Results(HEADER, (), ())
    assert not (tmp_path / "replies/old.wav").exists()


def test_half_a_surrogate_pair_from_a_server_is_kept(tmp_path: Path) -> None:
    with ResultsWriter(tmp_path, replace(HEADER, server={"version": "\ud800"})):
        assert results.read(tmp_path).header.server == {"version": "\ud800"}


SCHEMA_1 = Path(__file__).parent / "runs" / "schema-1"
PUBLISHED = Path(__file__).parents[2] / "docs" / "results.schema.json"


@pytest.fixture(scope="module")
def validate() -> Callable[[object], None]:
    schema = json.loads(PUBLISHED.read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    return validator.validate


def test_the_published_schema_is_that_of_the_records() -> None:
    assert PUBLISHED.read_text(encoding="utf-8") == results_schema.render(), (
        "docs/results.schema.json is old: python -m harness.results_schema > docs/results.schema.json"
    )


@settings(deadline=None, max_examples=30)
@given(ROWS)
def test_every_row_keeps_to_the_schema(validate: Callable[[object], None], row: results.Row) -> None:
    validate(json.loads(to_line(row)))


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_what_the_schema_takes_is_read_and_nothing_else_is(
    validate: Callable[[object], None], data: st.DataObject
) -> None:
    value = json.loads(data.draw(st.sampled_from([to_line(HEADER), to_line(TURN), to_line(VERDICT)])))
    field = data.draw(st.sampled_from(sorted(set(value) - {"kind"})))
    value[field] = data.draw(st.none() | st.booleans() | st.text() | st.just([1]) | st.just({"a": [1]}) | st.just(0.5))
    try:
        validate(value)
        taken = True
    except jsonschema.ValidationError:
        taken = False
    try:
        from_line(json.dumps(value))
        read = True
    except LineError:
        read = False
    assert read == taken


def test_a_run_of_schema_1_is_read(validate: Callable[[object], None]) -> None:
    for line in (SCHEMA_1 / results.FILE_NAME).read_text(encoding="utf-8").splitlines():
        validate(json.loads(line))
    found = results.read(SCHEMA_1)
    assert (found.header.schema, found.header.planned) == (1, None)
    assert {turn.fixture_id: turn.evidence for turn in found.turns} == {"en-01": None, "ko-01": None}
    assert len(found.verdicts) > 5


def test_a_reply_is_cut_into_what_arrived() -> None:
    made = recording(b"\1\2\3", b"", b"\4\5", b"\6\7\x08\x09")
    evidence = Evidence.of(made)
    assert list(evidence.cut(bytes(range(1, 9)))) == [*made.chunks[:3], Chunk(1.5, b"\6\7\x08\0")]
    for wrong in (b"", bytes(6), bytes(9), bytes(10)):
        with pytest.raises(ValueError, match="8 arrived"):
            list(evidence.cut(wrong))
