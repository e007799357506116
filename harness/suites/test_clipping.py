"""Whether the reply is safe for a loudspeaker: no reply has a finding that fails."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from harness.plugin import GateSession
from harness.results import TurnRow

pytestmark = pytest.mark.clipping


def test_clipping(turn: TurnRow) -> None:
    assert turn.clipping is not None, f"there is no reply to examine: {turn.error or turn.outcome}"
    bad = [f for f in turn.clipping.findings if f.severity == "fail"]
    assert not bad, "; ".join(f"{f.check} at {f.at_ms:.0f} ms: {f.value:g} {f.unit}, limit {f.limit:g}" for f in bad)


def test_clipping_gate(gate: GateSession, gated_language: str, record_property: Callable[[str, object], None]) -> None:
    gate.check("clipping", gated_language, record_property)
