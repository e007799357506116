"""The reference server's voice: a tone a word, at a known level, and what can be wrong with it.

A tone rises within a millisecond, so that it is known to a fraction of one when it is heard first.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from harness.reference.behaviour import Behaviour, Defect

Samples: TypeAlias = npt.NDArray[np.float64]

WORDS = ("alpha", "bravo", "charlie", "delta", "echo", "foxtrot", "golf", "hotel", "india", "kilo", "lima", "mike")
LOWEST_HZ = 300.0
RATIO = 1.19
"""From one word's tone to the next one's, so that the highest is 2.0 kHz."""
AMPLITUDE = 0.13
WORD_S = 0.12
TONE_S = 0.10
ATTACK_S = 0.001
RELEASE_S = 0.010
AUDIBLE = 0.01
"""Of full scale: -40 dBFS, from where on a sound counts as heard."""

_CLIPPED_SAMPLES = 8
_FULL_SCALE_EVERY = 200
_CLICK_FADE_S = 0.005
_OVERSHOOT = 1.1


def speak(text: str, rate_hz: int, *, lead_in_s: float = 0.0, gain_db: float = 0.0) -> Samples:
    """The words of a text, float64 mono, shape (samples,), in [-1, 1]; a word that has no tone is a pause."""
    pieces = [np.zeros(round(lead_in_s * rate_hz))]
    for word in text.split():
        piece = np.zeros(round(WORD_S * rate_hz))
        if word in WORDS:
            tone = _tone(LOWEST_HZ * RATIO ** WORDS.index(word), rate_hz)
            piece[: tone.size] = tone
        pieces.append(piece)
    return 10 ** (gain_db / 20) * np.concatenate(pieces)


def audible_after_s(text: str, rate_hz: int, *, lead_in_s: float = 0.0) -> float:
    """Until the first sample of a text as loud as `AUDIBLE`, seconds: its first tone takes a third of a millisecond."""
    samples = speak(text, rate_hz, lead_in_s=lead_in_s)
    return int(np.argmax(np.abs(samples) >= AUDIBLE)) / rate_hz


def reply(behaviour: Behaviour, rate_hz: int) -> bytes:
    """A reply as PCM16, mono, with everything that is to be wrong with it."""
    said = behaviour.spoken if behaviour.said is None else behaviour.said
    voice_hz = rate_hz * 2 // 3 if behaviour.breaks == "rate" else rate_hz
    samples = speak(said, voice_hz, lead_in_s=behaviour.lead_in_s, gain_db=behaviour.gain_db)
    for defect in behaviour.defects:
        samples = _spoil(samples, defect, rate_hz)
    whole = np.rint(32_768 * samples)
    wraps = any(defect.kind == "wrap" for defect in behaviour.defects)
    if not wraps:
        whole = np.clip(whole, -32_768, 32_767)
    return whole.astype(np.int64).astype("<i2").tobytes()


def _tone(frequency_hz: float, rate_hz: int) -> Samples:
    time_s = np.arange(round(TONE_S * rate_hz)) / rate_hz
    rise = np.clip(time_s / ATTACK_S, 0, 1)
    fall = np.clip((TONE_S - time_s) / RELEASE_S, 0, 1)
    envelope = np.sin(np.pi / 2 * rise) ** 2 * np.sin(np.pi / 2 * fall) ** 2
    made: Samples = AMPLITUDE * envelope * np.sin(2 * np.pi * frequency_hz * time_s)
    return made


def _spoil(samples: Samples, defect: Defect, rate_hz: int) -> Samples:
    at = round(defect.at_s * rate_hz)
    fade = np.exp(-np.arange(samples.size) / (_CLICK_FADE_S * rate_hz))
    spoilt = samples.copy()
    match defect.kind:
        case "clipped":
            spoilt[at : at + _CLIPPED_SAMPLES] = 1.0
        case "full-scale":
            spoilt[at::_FULL_SCALE_EVERY] = 1.0
        case "wrap":  # a swing just beyond full scale, which the cast to int16 turns over
            swing = np.sin(np.pi * np.arange(24) / 24)
            spoilt[at : at + swing.size] = 1.05 * swing
        case "click" | "click-start":
            spoilt[at:] += defect.size * fade[: samples.size - at]
        case "click-end":
            spoilt += defect.size * fade[::-1]
        case "dc":
            edge = np.clip(np.arange(samples.size) / (0.05 * rate_hz), 0, 1)
            spoilt += defect.size * edge * edge[::-1]
        case "between-samples":  # a sixth of the rate: its samples reach 0.87 of its crests
            burst = np.hanning(round(0.01 * rate_hz)) ** 0.25
            tone = _OVERSHOOT * np.sin(math.tau * np.arange(burst.size) / 6)
            spoilt[at : at + burst.size] = burst * tone
        case "dead-air":
            spoilt = np.concatenate((samples[:at], np.zeros(round(defect.size * rate_hz)), samples[at:]))
        case "mute":
            spoilt = np.zeros(samples.size)
    return spoilt


def cut_at_a_crest(pcm: bytes) -> bytes:
    """So much of it that it ends where its last 5 ms (at 24 kHz) are loudest: in mid-wave."""
    samples = np.frombuffer(pcm, dtype="<i2").astype(np.int64)
    last = samples.size - 120 + int(np.argmax(np.abs(samples[-120:])))
    return pcm[: 2 * (last + 1)]


def chunks(pcm: bytes, chunk_s: float, rate_hz: int) -> Iterable[bytes]:
    """Pieces of `chunk_s`; the last one is what is left."""
    size = 2 * round(chunk_s * rate_hz)
    return (pcm[start : start + size] for start in range(0, len(pcm), size))
