"""All measures of one turn: a recording and its fixture in, a row of the results out."""

from __future__ import annotations

import math

import numpy as np
import soxr

from harness import normalise
from harness.fixtures import Fixture, read
from harness.judge import Judge
from harness.measures import clipping, latency, words
from harness.recording import Recording
from harness.reply import Reply
from harness.results import TurnRow

JUDGE_RATE_HZ = 16_000

VERSIONS = {
    "latency": latency.VERSION,
    "words": words.VERSION,
    "normalise": normalise.VERSION,
    "clipping": clipping.VERSION,
}
"""Of the definitions that every row is measured by."""


def score_turn(
    recording: Recording,
    fixture: Fixture,
    judge: Judge | None,
    *,
    repeat: int = 0,
    previous_lufs: float | None = None,
) -> TurnRow:
    """Measure one turn.

    Without a judge the three figures that need one stay None. `previous_lufs` is the loudness of the reply before this
    one in the same language (`row.clipping.loudness_lufs`); it is what a step in loudness is measured against.

    Raises:
        harness.fixtures.FixtureError: the fixture's audio cannot be read.
    """
    language = fixture.language
    told = _listen(recording, judge, language)
    floor = judge.transcribe(read(fixture, JUDGE_RATE_HZ), language) if judge else None

    def against(reference: str | None, hypothesis: str | None) -> words.Words | None:
        return None if reference is None or hypothesis is None else words.compare(reference, hypothesis, language)

    return TurnRow(
        fixture_id=fixture.id,
        language=language,
        tier=fixture.tier,
        speaker=fixture.speaker,
        transcript=fixture.transcript,
        outcome=latency.outcome(recording),
        latency=latency.measure(recording),
        clipping=clipping.examine(recording, previous_lufs) if recording.chunks else None,
        heard=against(fixture.transcript, recording.heard),
        spoken=against(recording.spoken, told),
        floor=against(fixture.transcript, floor),
        echoed=against(fixture.transcript, told),
        trace=recording.trace and {stage: at_s for stage, at_s in recording.trace.items() if math.isfinite(at_s)},
        error=recording.error,
        condition=fixture.condition,
        attribution=fixture.attribution or "",
        repeat=repeat,
        versions=VERSIONS,
    )


def _listen(recording: Recording, judge: Judge | None, language: str) -> str | None:
    """What the judge hears in the reply; None without a judge or a reply."""
    reply = Reply.of(recording)
    if judge is None or not reply.samples.size:
        return None
    samples_16k = soxr.resample(reply.floats.astype(np.float32), reply.rate_hz, JUDGE_RATE_HZ, quality="HQ")
    return judge.transcribe(samples_16k, language)
