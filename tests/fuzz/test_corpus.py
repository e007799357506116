"""What the fuzzer sets out from, and what it has found so far, through every parser."""

from __future__ import annotations

from pathlib import Path

import pytest

from fuzz.corpus import CORPUS
from fuzz.targets import TARGETS

INPUTS = sorted(file for target in TARGETS for file in (CORPUS / target).iterdir())


def test_every_target_has_something_to_set_out_from() -> None:
    assert {file.parent.name for file in INPUTS} == set(TARGETS)


@pytest.mark.parametrize("file", INPUTS, ids=lambda file: f"{file.parent.name}/{file.name}")
def test_no_parser_fails_at_it(file: Path) -> None:
    TARGETS[file.parent.name](file.read_bytes())
