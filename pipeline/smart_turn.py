"""Smart Turn v3: was that a finished turn, or a pause for thought? A Whisper encoder with a classifier on top."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import numpy as np

from pipeline.audio import INPUT_RATE_HZ, FloatArray

_WINDOW_SAMPLES = 8 * INPUT_RATE_HZ
_WINDOW_FRAMES = 800


class EndOfTurn(Protocol):
    """Called from one worker thread, one question at a time."""

    def completeness(self, samples_16k: FloatArray) -> float:
        """The probability that the speaker has finished: the turn so far, float32 mono, shape (samples,), 16 kHz."""
        ...


class SmartTurn:
    """pipecat-ai/smart-turn v3.2: log-mel features of the last 8 s, zero-padded in front."""

    def __init__(self, folder: Path, *, threads: int) -> None:
        import onnxruntime
        from faster_whisper.feature_extractor import FeatureExtractor

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session = onnxruntime.InferenceSession(
            str(folder / "smart-turn-v3.2-cpu.onnx"), options, providers=["CPUExecutionProvider"]
        )
        self._features = FeatureExtractor(feature_size=80)

    def completeness(self, samples_16k: FloatArray) -> float:
        window = np.zeros(_WINDOW_SAMPLES, dtype=np.float32)
        recent = samples_16k[-_WINDOW_SAMPLES:]
        if recent.size:
            window[-recent.size :] = recent
        window = (window - window.mean()) / np.sqrt(window.var() + 1e-7)
        features = self._features(window, padding=0)[:, :_WINDOW_FRAMES].astype(np.float32)
        (probability,) = self._session.run(None, {"input_features": features[None]})
        return float(probability[0, 0])
