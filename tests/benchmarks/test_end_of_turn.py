"""What is found out of the pauses of a recording."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from benchmarks.end_of_turn import _pauses
from pipeline.audio import INPUT_RATE_HZ
from pipeline.languages import Language
from pipeline.profiles import load_profile
from pipeline.stt.base import Transcript


class VoiceActivity:
    """Whatever can be heard at all is speech."""

    def stream(self) -> VoiceActivity:
        return self

    def probability(self, frame: np.ndarray) -> float:
        return float(np.abs(frame).max() > 1e-4)


def tone(seconds: float, level: float) -> np.ndarray:
    return level * np.sin(np.arange(round(seconds * INPUT_RATE_HZ)) * 0.3).astype(np.float32)


def test_what_fades_and_goes_on_after_a_pause_makes_the_pause_no_longer() -> None:
    models = SimpleNamespace(
        turns=load_profile("embedded").turns,
        voice_activity=VoiceActivity(),
        end_of_turn=SimpleNamespace(completeness=lambda heard, stop: 0.5),
        speech_to_text=SimpleNamespace(transcribe=lambda *_, **__: Transcript("so", Language.EN, 0.5, 0.9)),
        language_models={Language.EN: SimpleNamespace(sentence_ends=lambda text, stop: 0.5)},
    )
    parts = [tone(1.0, 0.3), tone(0.6, 0.0), tone(1.0, 0.3), tone(0.4, 0.003), tone(1.0, 0.3)]
    first, last = _pauses(np.concatenate(parts), "en", models)  # type: ignore[arg-type]  # what it asks of them is there
    assert first.end_s == pytest.approx(1.0, abs=0.05)
    assert first.lasted_s == pytest.approx(0.6, abs=0.15)
    assert last.end_s == pytest.approx(4.0, abs=0.05)
    assert last.lasted_s == float("inf")
