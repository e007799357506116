"""Smart Turn v3: was that a finished turn, or a pause for thought? A Whisper encoder with a classifier on top."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import numpy as np

from pipeline.audio import INPUT_RATE_HZ, FloatArray
from pipeline.onnx_session import OnnxSession
from pipeline.stopping import Stop

_WINDOW_SAMPLES = 8 * INPUT_RATE_HZ
_WINDOW_FRAMES = 800


class EndOfTurn(Protocol):
    """Called from one worker thread, one question at a time."""

    def completeness(self, samples_16k: FloatArray, stop: Stop) -> float:
        """The probability that the speaker has finished: the turn so far, float32 mono, shape (samples,), 16 kHz.

        Raises:
            Stopped: told to stop.
        """
        ...


class SmartTurn:
    """pipecat-ai/smart-turn v3.2: log-mel features of the last 8 s, zero-padded in front."""

    def __init__(self, folder: Path, *, threads: int) -> None:
        from faster_whisper.feature_extractor import FeatureExtractor

        self._session = OnnxSession(folder / "smart-turn-v3.2-cpu.onnx", threads=threads)
        self._features = FeatureExtractor(feature_size=80)

    def completeness(self, samples_16k: FloatArray, stop: Stop) -> float:
        window = np.zeros(_WINDOW_SAMPLES, dtype=np.float32)
        recent = samples_16k[-_WINDOW_SAMPLES:]
        if recent.size:
            window[-recent.size :] = recent
        window = (window - window.mean()) / np.sqrt(window.var() + 1e-7)
        features = self._features(window, padding=0)[:, :_WINDOW_FRAMES].astype(np.float32)
        (probability,) = self._session.run({"input_features": features[None]}, stop)
        return float(probability[0, 0])
