"""The recordings of a stored run, as they were when they were made."""

from __future__ import annotations

import wave
from pathlib import Path
from typing import Literal

import numpy as np
import soundfile
import soxr

from client.audio import FloatArray
from harness.recording import Recording
from harness.results import FILE_NAME, ResultsError, ScenarioRow, TurnRow


def restore(folder: Path, target: str, row: TurnRow) -> Recording:
    """The recording that a row with evidence was made from.

    Args:
        folder: of the run.
        target: of the run.
        row: one whose `evidence` is there.

    Raises:
        ResultsError: the reply's audio is missing, or is not what arrived.
    """
    evidence = row.evidence
    assert evidence is not None  # noqa: S101 - the caller's to see to
    try:
        chunks = list(evidence.cut(_pcm(_inside(folder, row.reply)) if row.reply else b""))
    except (OSError, EOFError, wave.Error, ValueError) as error:
        raise ResultsError(
            f"{folder / (row.reply or FILE_NAME)}: the reply of {row.fixture_id} cannot be measured again: {error}; "
            "restore the audio as the run wrote it, or run the gate again"
        ) from None
    return Recording(
        fixture_id=row.fixture_id,
        language=row.language,
        target=target,
        frame_s=evidence.frame_s,
        end_of_speech_s=evidence.end_of_speech_s,
        lateness_s=list(evidence.lateness_s),
        rate_hz=evidence.rate_hz,
        channels=evidence.channels,
        chunks=chunks,
        ended_s=evidence.ended_s,
        cancelled=list(evidence.cancelled),
        heard=evidence.heard,
        spoken=evidence.spoken,
        trace=row.trace,
        cold=evidence.cold,
        error=row.error,
    )


def read_question(folder: Path, row: TurnRow, rate_hz: int) -> FloatArray:
    """What was played: float32 mono, shape (samples,), in [-1, 1] at `rate_hz`.

    Raises:
        ResultsError: it is missing, or no audio.
    """
    return _read(folder, row.fixture_id, row.question, "question", rate_hz)


def read_reply(folder: Path, row: TurnRow, rate_hz: int) -> FloatArray:
    """What came back, without the times at which it did: as `read_question`."""
    return _read(folder, row.fixture_id, row.reply, "reply", rate_hz)


def read_scenario(folder: Path, row: ScenarioRow, what: Literal["question", "reply"], rate_hz: int) -> FloatArray:
    """What was sent, or what came back, of a scenario: as `read_question`."""
    return _read(folder, row.scenario_id, row.question if what == "question" else row.reply, what, rate_hz)


def _read(folder: Path, name: str, relative: str | None, what: str, rate_hz: int) -> FloatArray:
    try:
        samples, from_hz = soundfile.read(_inside(folder, relative or ""), dtype="float32", always_2d=True)
    except (OSError, ValueError, soundfile.LibsndfileError) as error:
        raise ResultsError(
            f"{folder / (relative or FILE_NAME)}: the {what} of {name} cannot be heard again: {error}; "
            "restore the audio as the run wrote it, or run the gate again"
        ) from None
    resampled: FloatArray = soxr.resample(samples.mean(axis=1), from_hz, rate_hz, quality="HQ")
    return np.clip(resampled, -1.0, 1.0)


def is_inside(folder: Path, relative: str) -> bool:
    """Whether a path stays in the folder, links followed."""
    return (folder / relative).resolve().is_relative_to(folder.resolve())


def _inside(folder: Path, relative: str) -> Path:
    """A path of the results file, which may come from anywhere: one that leads out of the folder is refused."""
    if not is_inside(folder, relative):
        raise ValueError("its path leads out of the run's folder")
    return folder / relative


def _pcm(path: Path) -> bytes:
    with wave.open(str(path), "rb") as file:
        return file.readframes(file.getnframes())
