"""Voice activity: Silero's model on onnxruntime, one shared session, a small recurrent state for each conversation."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from pipeline.audio import INPUT_RATE_HZ, FloatArray

FRAME_SAMPLES = 512
FRAME_S = FRAME_SAMPLES / INPUT_RATE_HZ


class VoiceActivityStream(Protocol):
    """One conversation's view of the detector."""

    def probability(self, frame_16k: FloatArray) -> float:
        """The probability of speech in the next frame: float32 mono, shape (512,), 16 kHz."""
        ...


class VoiceActivity(Protocol):
    def stream(self) -> VoiceActivityStream: ...


class SileroVoiceActivity:
    """snakers4/silero-vad, the 16 kHz model: 512 new samples behind 64 of context, an LSTM state of (2, 1, 128)."""

    def __init__(self, folder: Path) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(
            str(folder / "silero_vad.onnx"), options, providers=["CPUExecutionProvider"]
        )

    def stream(self) -> VoiceActivityStream:
        return _SileroStream(self._session)


class _SileroStream:
    _CONTEXT = 64

    def __init__(self, session: object) -> None:
        self._run = session.run  # type: ignore[attr-defined]  # onnxruntime is published without types
        self._state: npt.NDArray[np.float32] = np.zeros((2, 1, 128), dtype=np.float32)
        self._window = np.zeros((1, self._CONTEXT + FRAME_SAMPLES), dtype=np.float32)
        self._rate = np.array(INPUT_RATE_HZ, dtype=np.int64)

    def probability(self, frame_16k: FloatArray) -> float:
        self._window[0, : self._CONTEXT] = self._window[0, -self._CONTEXT :]
        self._window[0, self._CONTEXT :] = frame_16k
        output, self._state = self._run(None, {"input": self._window, "state": self._state, "sr": self._rate})
        return float(output[0, 0])
