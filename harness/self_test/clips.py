"""Questions for the reference server: short clips of its tones, whose end of speech is known to the sample."""

from __future__ import annotations

from pathlib import Path

import soundfile

from harness.fixtures import Fixture
from harness.reference import voice

RATE_HZ = 16_000
LEADS_S = (0.10, 0.1031, 0.1066, 0.1099, 0.1189)
"""Before the speech: the first one ends it with a frame of 20 ms, the others within one."""
TEXTS = (
    "alpha bravo charlie delta",
    "echo foxtrot golf hotel",
    "india kilo lima mike",
    "delta charlie bravo alpha",
    "hotel golf foxtrot echo",
)

_AFTER_S = 0.1


def make_questions(folder: Path) -> list[Fixture]:
    """A clip for each of `TEXTS`, each of a speaker of its own, written into `folder`.

    Raises:
        OSError: they cannot be written.
    """
    return [
        _make(folder, number, text, lead_s) for number, (text, lead_s) in enumerate(zip(TEXTS, LEADS_S, strict=True))
    ]


def _make(folder: Path, number: int, text: str, lead_s: float) -> Fixture:
    path = folder / f"en_reference_{number}.wav"
    samples = voice.speak(text + " silence", RATE_HZ, lead_in_s=lead_s)
    start = round(lead_s * RATE_HZ)
    pause = round((voice.WORD_S - voice.TONE_S) * RATE_HZ)
    word = round(voice.WORD_S * RATE_HZ)
    samples = samples[: samples.size - word + round(_AFTER_S * RATE_HZ)]
    soundfile.write(path, samples, RATE_HZ, subtype="PCM_16")
    return Fixture(
        id=path.stem,
        language="en",
        tier="synthetic",
        transcript=text,
        transcript_source="programmed",
        speaker=f"tones {number}",
        condition="tones",
        licence="Apache-2.0",
        attribution=None,
        source=None,
        file=path.name,
        sha256="0" * 64,
        pcm_sha256=None,
        rate_hz=RATE_HZ,
        samples=samples.size,
        speech_start=start,
        speech_end=start + len(text.split()) * word - pause,
        marks_source="programmed",
        path=path,
    )
