"""Better, no change, worse, inconclusive."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from harness.comparison.decide import Change, by_language, decide, exit_code, undecided
from harness.comparison.samples import Pair, Sample, pair
from harness.sequential import Look

LANGUAGES = ("en", "fr", "es", "zh", "ja", "ko")


def sample(clip: int = 0, ttfa_s: float | None = 0.6, **others: object) -> Sample:
    return replace(
        Sample(f"clip {clip}", LANGUAGES[clip % 6], "answered", ttfa_s, ttfa_s, 1, 10, False),
        **others,  # type: ignore[arg-type]  # a test's shorthand
    )


def pairs(ratio: float = 1.0, n: int = 96, noise: float = 0.02, **b: object) -> list[Pair]:
    rng = np.random.default_rng(1)
    found = []
    for number in range(n):
        wait_s = (0.5 + 0.05 * (number % 12)) * math.exp(rng.normal(0, noise))
        after_s = (0.5 + 0.05 * (number % 12)) * ratio * math.exp(rng.normal(0, noise))
        found.append(Pair(sample(number % 12, wait_s), sample(number % 12, after_s, **b)))
    return found


def of(changes: Sequence[Change], metric: str = "ttfa_s") -> Change:
    (found,) = [change for change in changes if change.metric == metric]
    return found


def test_alike_is_no_change_in_every_metric() -> None:
    changes = decide(pairs())
    assert {change.verdict for change in changes} == {"no change"}
    assert [change.metric for change in changes] == [
        "ttfa_s", "first_byte_s", "heard", "cut_ins", "no_answers", "clipping",
    ]  # fmt: skip  # a table, which is not seen with each entry in a line
    assert exit_code(changes) == 0
    assert not undecided(changes)


@pytest.mark.parametrize(
    ("ratio", "verdict", "code"),
    [
        (1.12, "worse", 1),
        (1.03, "no change", 0),
        (0.97, "no change", 0),
        (0.88, "better", 0),
        (1.047, "inconclusive", 2),
    ],
)
def test_a_wait_that_changed(ratio: float, verdict: str, code: int) -> None:
    changes = decide(pairs(ratio))
    found = of(changes)
    assert found.verdict == verdict
    assert found.value == pytest.approx(ratio - 1, abs=0.01)
    assert found.low is not None
    assert found.high is not None
    assert found.low < found.value < found.high  # type: ignore[operator]  # it has a value
    assert exit_code(changes) == code


def test_the_change_is_told_in_plain_words() -> None:
    assert of(decide(pairs(1.12))).reason.startswith("12.2 % longer until the first sound (+11")
    assert "96 pairs of 12 clips" in of(decide(pairs(0.88))).reason
    assert "shorter until the first byte" in of(decide(pairs(0.88)), "first_byte_s").reason
    assert "it may be worse by more than 5.0 %" in of(decide(pairs(1.047))).reason


@pytest.mark.parametrize(
    ("metric", "b", "words"),
    [
        ("cut_ins", {"outcome": "cut-in"}, "cut-ins"),
        ("no_answers", {"outcome": "no-answer", "ttfa_s": None}, "without an answer"),
        ("no_answers", {"outcome": "error"}, "without an answer"),
        ("no_answers", {"ttfa_s": None}, "without an answer"),
        ("clipping", {"unsafe": True}, "clipping finding"),
        ("heard", {"errors": 5}, "errors in what it heard"),
    ],
)
def test_every_metric_can_turn_red(metric: str, b: dict[str, object], words: str) -> None:
    found = pairs()
    spoilt = [Pair(p.a, replace(p.b, **b)) if n % 5 == 0 else p for n, p in enumerate(found)]  # type: ignore[arg-type]  # shorthand
    change = of(decide(spoilt), metric)
    assert change.verdict == "worse"
    assert words in change.reason
    assert exit_code(decide(spoilt)) == 1
    mended = [Pair(p.b, p.a) for p in spoilt]
    assert of(decide(mended), metric).verdict == "better"


def test_one_more_event_is_neither_worse_nor_shown_to_be_none() -> None:
    found = pairs(n=24)
    found[3] = Pair(found[3].a, replace(found[3].b, outcome="cut-in"))
    assert of(decide(found), "cut_ins").verdict == "inconclusive"


@pytest.mark.parametrize("side", ["a", "b"])
def test_the_wait_of_a_cold_start_is_in_no_comparison_and_all_else_of_it_is(side: str) -> None:
    """Whichever side was cold: it took eight times as long, and cracked."""
    warm, whole = pairs(n=84), pairs(n=96)
    cold = {"cold": True, "ttfa_s": 4.8, "first_byte_s": 4.8, "unsafe": True}
    spoilt = [replace(pair, **{side: replace(getattr(pair, side), **cold)}) for pair in whole[::8]]
    changes = decide([*spoilt, *warm])
    for metric in ("ttfa_s", "first_byte_s"):
        assert (of(changes, metric).verdict, of(changes, metric).pairs) == ("no change", 84)
    assert of(changes, "clipping").verdict == ("worse" if side == "b" else "better")
    assert [of(changes, metric).pairs for metric in ("heard", "cut_ins", "no_answers", "clipping")] == [96] * 4
    assert of(changes, "no_answers").verdict == "no change"


def test_a_cut_in_cannot_better_the_wait() -> None:
    cut = [Pair(p.a, replace(p.b, outcome="cut-in", ttfa_s=-1.0)) for p in pairs(n=48)]
    mixed = [*pairs(1.12, n=48), *cut]
    assert of(decide(mixed)).verdict == "worse"
    assert of(decide(mixed)).pairs == 48


def test_a_side_without_any_answer_is_not_compared_by_its_waits_and_fails_by_its_answers() -> None:
    changes = decide(
        [Pair(p.a, sample(0, None, outcome="error", errors=None, units=None, unsafe=None)) for p in pairs()]
    )
    assert of(changes).verdict == "inconclusive"
    assert of(changes).reason == "no pair has it on both sides"
    assert of(changes, "no_answers").verdict == "worse"
    assert exit_code(changes) == 1


def test_missing_transcripts_are_never_no_change() -> None:
    found = pairs()
    found[5] = Pair(found[5].a, replace(found[5].b, errors=None, units=None))
    heard = of(decide(found), "heard")
    assert heard.verdict == "inconclusive"
    assert "1 replies of B have no transcript" in heard.reason


def test_what_neither_side_tells_is_left_out() -> None:
    silent = [Pair(replace(p.a, errors=None, units=None), replace(p.b, errors=None, units=None)) for p in pairs()]
    assert "heard" not in {change.metric for change in decide(silent)}


def test_few_clips_are_said() -> None:
    found = [p for p in pairs() if p.fixture_id in ("clip 0", "clip 1")]
    assert of(decide(found)).reason == "n too small: 2 of the 5 clips it takes"
    assert exit_code(decide(found)) == 2


def test_nothing_is_no_pass() -> None:
    assert decide([]) == []
    assert exit_code([]) == 2


def test_a_change_found_at_an_early_look_is_kept() -> None:
    both = [*pairs(1.15, n=48), *pairs(0.9, n=48)]
    looks = [Look(48, 0.5), Look(96, 1.0)]
    assert of(decide(both, looks)).verdict == "worse"
    assert of(decide(both)).verdict != "worse"


def test_languages_are_told_apart() -> None:
    found = [
        Pair(p.a, replace(p.b, ttfa_s=p.a.ttfa_s * 1.5)) if p.language == "ja" else Pair(p.a, p.a) for p in pairs()
    ]  # type: ignore[operator]  # it has a wait
    ratios = by_language(found)
    assert ratios["ja"] == pytest.approx(0.5)
    assert ratios["en"] == pytest.approx(0.0)


def test_turns_are_paired_clip_by_clip_in_their_order() -> None:
    a = [sample(0, 1.0), sample(1, 2.0), sample(0, 9.0, outcome="invalid"), sample(0, 3.0)]
    b = [sample(1, 4.0), sample(0, 5.0), sample(0, 6.0), sample(0, 7.0), sample(2, 8.0)]
    assert [(p.a.ttfa_s, p.b.ttfa_s) for p in pair(a, b)] == [(2.0, 4.0), (1.0, 5.0), (3.0, 6.0)]
