"""The judge: a recogniser that is asked what a reply says, independently of the server that spoke it."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from pipeline.audio import FloatArray

WHISPER_BASE = "whisper-base"


class JudgeUnavailable(RuntimeError):  # noqa: N818 - reads as what happened, beside TargetUnavailable
    """The judge cannot be had: the reason and the remedy."""


class Judge(Protocol):
    """`name` and `version` stand beside every figure that it gave."""

    name: str
    version: str

    def transcribe(self, samples_16k: FloatArray, language: str) -> str:
        """What is said: float32 mono, shape (samples,), 16 kHz. `language` is a code."""
        ...


class Whisper:
    """faster-whisper as its authors run it: the full 30 s window, beam of 5, no text carried from window to window."""

    def __init__(self, name: str, folder: str, threads: int) -> None:
        import faster_whisper

        self.name = name
        self.version = f"faster-whisper {faster_whisper.__version__}, int8, beam 5, 30 s window"
        self._model = faster_whisper.WhisperModel(folder, device="cpu", compute_type="int8", cpu_threads=threads)

    def transcribe(self, samples_16k: FloatArray, language: str) -> str:
        segments, _ = self._model.transcribe(
            np.ascontiguousarray(samples_16k, dtype=np.float32),
            language=language,
            beam_size=5,
            condition_on_previous_text=False,
        )
        return "".join(segment.text for segment in segments).strip()


def load(name: str = WHISPER_BASE, *, threads: int = 2) -> Judge:
    """A judge by name: `whisper-base`. Pulls its weights on first use.

    Raises:
        JudgeUnavailable: no judge of that name, or its extra or its weights cannot be had.
    """
    if name != WHISPER_BASE:
        raise JudgeUnavailable(f"there is no judge {name!r}; choose {WHISPER_BASE}")
    from pipeline.weights import WeightsError, WeightStore

    try:
        return Whisper(name, str(WeightStore().path(name)), threads)
    except ImportError as error:
        raise JudgeUnavailable(f"the judge {name} needs {error.name}: pip install 's2s-gate[server]'") from None
    except WeightsError as error:
        raise JudgeUnavailable(f"the judge {name} has no weights: {error}") from error
