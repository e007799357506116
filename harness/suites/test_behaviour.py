"""Whether turns are taken as they should: every scenario comes out as expected, every limit on behaviour is kept."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from harness.plugin import GateSession
from harness.results import ScenarioRow

pytestmark = pytest.mark.behaviour


def test_behaviour(performed: ScenarioRow) -> None:
    assert performed.error is None
    assert performed.outcome != "invalid", "this machine was too busy to send it on time"
    broken = [check for check in performed.checks if check.verdict == "broken"]
    assert not broken, "; ".join(f"line {check.line}: {check.measure}: {check.told}" for check in broken)
    if undecided := [check for check in performed.checks if check.verdict == "undecided"]:
        pytest.skip("; ".join(f"line {check.line}: {check.measure}: {check.told}" for check in undecided))


def test_behaviour_gate(gate: GateSession, gated_language: str, record_property: Callable[[str, object], None]) -> None:
    gate.check("behaviour", gated_language, record_property)
