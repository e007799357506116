"""All measures of one turn: a recording and its fixture in, a row of the results out."""

from __future__ import annotations

from harness.fixtures import Fixture
from harness.judge import Judge
from harness.recording import Recording
from harness.results import TurnRow


def score_turn(
    recording: Recording, fixture: Fixture, judge: Judge | None, *, repeat: int = 0, previous_lufs: float | None = None
) -> TurnRow:
    """Measure one turn.

    Without a judge the three figures that need one stay None. `previous_lufs` is the loudness of the reply before this
    one in the same language (`row.clipping.loudness_lufs`); it is what a step in loudness is measured against.
    """
    raise NotImplementedError
