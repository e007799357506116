from __future__ import annotations

import pytest

from harness import judge
from harness.fixtures import available, read
from harness.judge import JudgeUnavailable
from harness.measures.words import compare
from pipeline.weights import WeightStore


def test_an_unknown_judge_is_named() -> None:
    with pytest.raises(JudgeUnavailable, match="there is no judge 'ear'; choose whisper-base"):
        judge.load("ear")


@pytest.mark.models
def test_the_judge_understands_a_synthetic_clip(weights: WeightStore) -> None:
    assert weights.path(judge.WHISPER_BASE).is_dir()
    listener = judge.load()
    clip = available("synthetic", ["en"], limit=1)[0]
    heard = compare(clip.transcript, listener.transcribe(read(clip, 16_000), "en"), "en")
    assert heard.counts.errors <= 1
    assert (listener.name, "faster-whisper" in listener.version) == ("whisper-base", True)
