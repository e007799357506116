"""How long the caller waits: every clip is answered, and every language's latency is within its limits."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from harness.plugin import GateSession
from harness.results import TurnRow

pytestmark = pytest.mark.latency


def test_latency(turn: TurnRow) -> None:
    # A reply that cut in is an answer; whether there are too many of them is for the gate to say.
    assert turn.outcome in ("answered", "cut-in"), turn.error or "no reply within the limit"


def test_latency_gate(gate: GateSession, gated_language: str, record_property: Callable[[str, object], None]) -> None:
    gate.check("latency", gated_language, record_property)
