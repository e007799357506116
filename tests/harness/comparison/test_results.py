"""The file of a comparison: read strictly, and never half a verdict out of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.comparison.decide import Change
from harness.comparison.results import (
    FILE_NAME,
    Comparison,
    ComparisonError,
    ComparisonHeader,
    ComparisonWriter,
    Ending,
    Reason,
    read,
)
from harness.comparison.samples import Pair, Sample
from harness.results import RunHeader
from harness.sequential import Look

SAMPLE = Sample("en_1", "en", "answered", 0.5, 0.4, 1, 10, False)
PAIR = Pair(SAMPLE, SAMPLE)
SAME = Change("ttfa_s", "no change", "ratio", 0.05, 40, 12, 0.5, 0.5, 0.0, -0.01, 0.01, "alike")
WORSE = Change("ttfa_s", "worse", "ratio", 0.05, 40, 12, 0.5, 0.6, 0.2, 0.1, 0.3, "slower")


def write(folder: Path, header: RunHeader, *lines: Pair | Look | Change | Ending, label: str = "ws://a/") -> None:
    with ComparisonWriter(folder, ComparisonHeader(label, "ws://b/", header, header, "now", True)) as writer:
        for line in lines:
            writer.add(line)


def test_what_is_written_is_read(header: RunHeader, folder: Path) -> None:
    write(folder, header, PAIR, Look(1, 0.5), SAME, Ending(1, "decided"), label="a\u2028b")
    found = read(folder)
    assert (found.header.a, found.header.header_b) == ("a\u2028b", header)
    assert (found.pairs, found.looks, found.changes) == ((PAIR,), (Look(1, 0.5),), (SAME,))
    assert found.ending == Ending(1, "decided")


@pytest.mark.parametrize(
    ("changes", "ending", "code"),
    [
        ((SAME,), Ending(10, "decided"), 0),
        ((SAME, WORSE), Ending(10, "budget"), 1),
        ((), Ending(10, "budget"), 2),
        ((SAME,), Ending(10, "stopped"), 2),
        ((SAME,), Ending(10, "lost a"), 2),
        ((SAME,), Ending(10, "lost b"), 1),
        ((SAME,), Ending(13, "decided"), 3),
        ((SAME,), Ending(0, "played out"), 3),
        ((SAME,), None, 2),
    ],
)
def test_the_exit_code(
    header: RunHeader, folder: Path, changes: tuple[Change, ...], ending: Ending | None, code: int
) -> None:
    pairs = () if ending and not ending.tries else (PAIR,) * 10
    whole = Comparison(ComparisonHeader("a", "b", header, header, "now", True), pairs, (), changes, ending)
    assert whole.exit_code == code


@pytest.mark.parametrize("reason", ["decided", "budget", "played out"])
def test_a_comparison_of_nothing_is_no_pass(header: RunHeader, reason: Reason) -> None:
    whole = Comparison(ComparisonHeader("a", "b", header, header, "now", True), (), (), (), Ending(0, reason))
    assert whole.exit_code == 3


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is empty"),
        ("{}\n", "the field 'kind'"),
        ('{"kind":"pair"}\n', "line 1"),
        ('{"kind":"look","turns":1,"spent":1.0}\n', "the header is the first line"),
        ('{"kind":"comparison","schema":9}\n', "schema 9"),
    ],
)
def test_a_damaged_file_is_named(folder: Path, text: str, said: str) -> None:
    folder.mkdir()
    (folder / FILE_NAME).write_text(text)
    with pytest.raises(ComparisonError, match=said) as error:
        read(folder)
    assert FILE_NAME in str(error.value)


def test_a_folder_without_one_is_named(folder: Path) -> None:
    with pytest.raises(ComparisonError, match="is this the folder of a comparison"):
        read(folder)


@given(st.binary(max_size=200))
def test_whatever_lies_there_is_refused_in_words(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    folder = tmp_path_factory.mktemp("any")
    (folder / FILE_NAME).write_bytes(content)
    with pytest.raises(ComparisonError):
        read(folder)
