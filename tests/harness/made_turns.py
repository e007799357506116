"""Turns as a run has them, made to measure for the gates."""

from __future__ import annotations

from harness.measures.clipping import Clipping
from harness.measures.latency import Latency
from harness.measures.words import Errors, Words
from harness.recording import Outcome
from harness.results import TurnRow


def turn(
    ttfa_s: float | None = 1.0,
    outcome: Outcome = "answered",
    *,
    errors: int | None = 0,
    speaker: str = "",
    **others: object,
) -> TurnRow:
    counts = Errors(10 - (errors or 0), errors or 0, 0, 0)
    words = None if errors is None else Words("words", counts, None, "", "", ())
    row: dict[str, object] = {
        "fixture_id": speaker,
        "language": "en",
        "tier": "recorded",
        "speaker": speaker,
        "transcript": "",
        "outcome": outcome,
        "latency": Latency(ttfa_s, ttfa_s, None, (), (), 0.0, 0.0),
        "clipping": Clipping((), 1.0, -3.0, -20.0),
        "heard": words,
    }
    return TurnRow(**(row | others))  # type: ignore[arg-type]  # a test's shorthand


def turns(n: int, ttfa_s: float | None = 1.0, outcome: Outcome = "answered", **others: object) -> list[TurnRow]:
    return [turn(ttfa_s, outcome, speaker=f"speaker {i}", **others) for i in range(n)]  # type: ignore[arg-type]  # the same
