"""All measures of one turn: a recording and its fixture in, a row of the results out; and again from a stored row."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import TypedDict

import numpy as np
import soxr

from client.audio import FloatArray
from harness import normalise
from harness.fixtures import Fixture, read
from harness.judge import Judge
from harness.measures import behaviour, clipping, latency, words
from harness.recording import Evidence, Outcome, Recording
from harness.reply import Reply
from harness.results import ScenarioRow, TurnRow
from harness.scenarios.performance import Performance

JUDGE_RATE_HZ = 16_000

VERSIONS = {
    "latency": latency.VERSION,
    "words": words.VERSION,
    "normalise": normalise.VERSION,
    "clipping": clipping.VERSION,
}
"""Of the definitions that the row of every turn is measured by."""

BEHAVIOUR_VERSIONS = {"behaviour": behaviour.VERSION}
"""The same of a scenario."""


def score_turn(
    recording: Recording,
    fixture: Fixture,
    judge: Judge | None,
    *,
    repeat: int = 0,
    before: Sequence[TurnRow] = (),
) -> TurnRow:
    """Measure one turn.

    Without a judge the three figures that need one stay None. `before` are the turns of the run so far, in order: a
    step in loudness is measured against the last reply among them in the same language.

    Raises:
        harness.fixtures.FixtureError: the fixture's audio cannot be read.
    """
    evidence = Evidence.of(recording)
    if judge:
        evidence = listen(judge, evidence, recording, read(fixture, JUDGE_RATE_HZ))
    return TurnRow(
        fixture_id=fixture.id,
        language=fixture.language,
        tier=fixture.tier,
        speaker=fixture.speaker,
        transcript=fixture.transcript,
        trace=recording.trace and {stage: at_s for stage, at_s in recording.trace.items() if math.isfinite(at_s)},
        error=recording.error,
        condition=fixture.condition,
        attribution=fixture.attribution or "",
        repeat=repeat,
        evidence=evidence,
        **_measure(recording, evidence, fixture.transcript, before),
    )


def score_scenario(performance: Performance, about: str, *, attribution: str = "", repeat: int = 0) -> ScenarioRow:
    """Measure one scenario."""
    said, evidence, error = tuple(performance.said), performance.evidence, performance.error
    checks = behaviour.measure(said, evidence, error)
    return ScenarioRow(
        scenario_id=performance.scenario_id,
        language=performance.language,
        about=about,
        outcome=behaviour.outcome(checks, evidence, error),
        checks=checks,
        said=said,
        evidence=evidence,
        error=error,
        repeat=repeat,
        attribution=attribution,
        versions=BEHAVIOUR_VERSIONS,
    )


def score_scenario_again(row: ScenarioRow) -> ScenarioRow:
    """A stored row with its measure taken anew on the evidence that it was made from."""
    checks = behaviour.measure(row.said, row.evidence, row.error)
    outcome = behaviour.outcome(checks, row.evidence, row.error)
    return replace(row, checks=checks, outcome=outcome, versions=BEHAVIOUR_VERSIONS)


def score_again(row: TurnRow, recording: Recording, evidence: Evidence, *, before: Sequence[TurnRow] = ()) -> TurnRow:
    """A stored row with every measure taken anew on the recording and the evidence that it was made from.

    `before` as in `score_turn`.
    """
    return replace(row, evidence=evidence, **_measure(recording, evidence, row.transcript, before))


def listen(judge: Judge, evidence: Evidence, recording: Recording, clip_16k: FloatArray) -> Evidence:
    """The evidence with what the judge hears in the fixture (float32 mono, 16 kHz) and in the reply."""
    reply = Reply.of(recording)
    told = None
    if reply.samples.size:
        samples_16k = soxr.resample(reply.floats.astype(np.float32), reply.rate_hz, JUDGE_RATE_HZ, quality="HQ")
        told = judge.transcribe(samples_16k, recording.language)
    return replace(evidence, judge_reply=told, judge_clip=judge.transcribe(clip_16k, recording.language))


class _Measures(TypedDict):
    """The fields of a row that are measured."""

    outcome: Outcome
    latency: latency.Latency
    clipping: clipping.Clipping | None
    heard: words.Words | None
    spoken: words.Words | None
    floor: words.Words | None
    echoed: words.Words | None
    versions: dict[str, int]


def _measure(recording: Recording, evidence: Evidence, transcript: str, before: Sequence[TurnRow]) -> _Measures:
    def against(reference: str | None, hypothesis: str | None) -> words.Words | None:
        if reference is None or hypothesis is None:
            return None
        return words.compare(reference, hypothesis, recording.language)

    return _Measures(
        outcome=latency.outcome(recording),
        latency=latency.measure(recording),
        clipping=clipping.examine(recording, _loudness(before, recording.language)) if recording.chunks else None,
        heard=against(transcript, evidence.heard),
        spoken=against(evidence.spoken, evidence.judge_reply),
        floor=against(transcript, evidence.judge_clip),
        echoed=against(transcript, evidence.judge_reply),
        versions=VERSIONS,
    )


def _loudness(before: Sequence[TurnRow], language: str) -> float | None:
    """LUFS of the last reply in a language that was long enough to have a loudness; None where there was none."""
    told = (row.clipping.loudness_lufs for row in reversed(before) if row.clipping and row.language == language)
    return next((lufs for lufs in told if lufs is not None), None)
