"""Whether the caller was understood: every clip has a transcript, every language an error rate within its limit."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from harness.plugin import GateSession
from harness.results import TurnRow

pytestmark = pytest.mark.wer


def test_wer(turn: TurnRow, gate: GateSession) -> None:
    assert turn.error is None
    if gate.settings.target == "endpoint" and turn.heard is None:
        pytest.skip("the /ws protocol carries no transcripts; the gate judges the words of the replies")
    assert turn.heard is not None, "the server told no transcript"
    assert turn.heard.hypothesis.strip(), "the server heard no words"


def test_wer_gate(gate: GateSession, gated_language: str, record_property: Callable[[str, object], None]) -> None:
    gate.check("words", gated_language, record_property)
