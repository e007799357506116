"""A clip of a tone: its line of a manifest, and its file."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from harness.fixtures import Clip, parse_manifest

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def entry(**changes: Any) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "id": "en_a",
        "language": "en",
        "tier": "recorded",
        "transcript": "hello",
        "transcript_source": "a list",
        "speaker": "somebody",
        "condition": "read",
        "licence": "CC0-1.0",
        "attribution": None,
        "source": {"repo": "owner/name", "commit": COMMIT, "path": "a b/x.wav", "sha256": "a" * 64},
        "file": "en/en_a.wav",
        "sha256": "b" * 64,
        "pcm_sha256": None,
        "rate_hz": 16_000,
        "samples": 1600,
        "speech_start": 160,
        "speech_end": 1500,
        "marks_source": "by eye",
    }
    return fields | changes


def parse(**changes: Any) -> Clip:
    return next(parse_manifest(json.dumps(entry(**changes))))


def wav(folder: Path, name: str, samples: np.ndarray[Any, Any], subtype: str = "PCM_16") -> bytes:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, samples, 16_000, subtype=subtype)
    return path.read_bytes()


def tone(samples: int = 1600) -> np.ndarray[Any, np.dtype[np.int16]]:
    return np.asarray(np.rint(8000 * np.sin(np.arange(samples) / 5)), dtype=np.int16)


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
