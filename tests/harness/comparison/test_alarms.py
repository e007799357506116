"""How often a comparison cries wolf, and how often it misses one: simulated, of turns that a real server answered.

The recordings are baselines that `s2s baseline accept` made of runs of the embedded server on two shared x86 cores,
with the synthetic clips. `quiet`: three rounds of one run while the machine's other users waited. `busy`: five runs
while they did not, with waits up to seven times as long. On these the rules of a comparison were settled. `fresh`:
four rounds of one run of a later build, in another quiet hour, which nothing was chosen by. Two builds that are alike
are two draws from the same clip's turns; a slowdown makes all waits of one of them longer.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from harness import baseline
from harness.comparison.decide import Change, Deciding, undecided
from harness.comparison.samples import Pair, Sample

DATA = Path(__file__).parents[1] / "data"

TURN_S = 7.9
"""What one of the twelve clips takes with its answer, on the mean of the quiet runs."""
BUDGET_S = 60 * 60
"""The default of `s2s compare`."""
PAIRS = int(BUDGET_S / (2 * TURN_S))


def recorded(name: str) -> dict[str, list[Sample]]:
    by_clip: dict[str, list[Sample]] = defaultdict(list)
    for sample in baseline.load(DATA / f"{name}.json").samples:
        if sample.outcome != "invalid" and not sample.cold:
            by_clip[sample.fixture_id].append(sample)
    return by_clip


def slower(sample: Sample, ratio: float) -> Sample:
    return replace(
        sample,
        ttfa_s=None if sample.ttfa_s is None else sample.ttfa_s * ratio,
        first_byte_s=None if sample.first_byte_s is None else sample.first_byte_s * ratio,
    )


def simulate(turns: dict[str, list[Sample]], ratio: float, rng: np.random.Generator) -> Sequence[Change]:
    """A comparison as `s2s compare` makes it: round after round of all clips, until it is decided or time is up."""
    pairs: list[Pair] = []
    deciding = Deciding()
    while len(pairs) < PAIRS and undecided(deciding.changes):
        for clip in turns.values():
            a, b = (clip[index] for index in rng.integers(len(clip), size=2))
            pairs.append(Pair(a, slower(b, ratio)))
        pairs = pairs[:PAIRS]
        deciding.look(pairs, len(pairs) / PAIRS)
    return deciding.changes


def outcomes(name: str, ratio: float, runs: int) -> Counter[str]:
    """The gravest verdict of each of so many comparisons."""
    rng = np.random.default_rng(2026)
    found: Counter[str] = Counter()
    for _ in range(runs):
        verdicts = {change.verdict for change in simulate(recorded(name), ratio, rng)}
        found[next(v for v in ("worse", "inconclusive", "better", "no change") if v in verdicts)] += 1
    return found


@pytest.mark.parametrize("name", ["quiet", "busy", "fresh"])
def test_two_builds_that_are_alike_are_hardly_ever_called_different(name: str) -> None:
    found = outcomes(name, 1.0, 200)
    assert found["worse"] <= 0.05 * 200
    assert found["better"] <= 0.05 * 200
    if name == "quiet":  # of the fresh ones 185 are, and the others inconclusive: they spread wider
        assert found["no change"] >= 0.95 * 200


@pytest.mark.parametrize("name", ["quiet", "fresh"])
def test_a_slowdown_of_a_tenth_is_found_within_the_default_budget(name: str) -> None:
    found = outcomes(name, 1.10, 100)
    assert found["worse"] >= 0.80 * 100
    assert not found["no change"]
