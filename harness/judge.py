"""The judge: a recogniser that is independent of the server, so that what a reply says can be checked by ear."""

from __future__ import annotations

from typing import Protocol

from pipeline.audio import FloatArray


class Judge(Protocol):
    """`name` and `version` stand beside every figure that it gave."""

    name: str
    version: str

    def transcribe(self, samples_16k: FloatArray, language: str) -> str:
        """What is said: float32 mono, shape (samples,), 16 kHz. `language` is a code."""
        ...


def load(name: str) -> Judge:
    """A judge by name: `whisper-base`.

    Raises:
        JudgeUnavailable: no judge of that name, or its extra or weights are missing.
    """
    raise NotImplementedError
