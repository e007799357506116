"""From a synthesiser's raw clause to one that can be played after another: trimmed, levelled, faded at both ends."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import soxr

from pipeline.audio import OUTPUT_RATE_HZ, FloatArray

_FRAME = OUTPUT_RATE_HZ // 200  # 5 ms
_AUDIBLE = 10 ** (-45 / 20)
_RELEASE = OUTPUT_RATE_HZ * 40 // 1000
_FADE = OUTPUT_RATE_HZ * 5 // 1000
_LEAD_IN = _FADE  # a caller waits for what is not heard, too
_PIECE = OUTPUT_RATE_HZ // 10

_CEILING = 10 ** (-1.5 / 20)
"""The largest true peak, 0.5 dB below what the gate allows, for what a resampler in between may add."""

_SENTENCE_PAUSE_S = 0.30
_CLAUSE_PAUSE_S = 0.15
_WORD_PAUSE_S = 0.03
_SENTENCE_MARKS = ".!?…。！？"
_CLAUSE_MARKS = ",;:—、，；：·"
_CLOSING = " \t\n\"'”’»)]}」』）》】*_"


def pause_after(text: str) -> float:
    """How many seconds of silence a speaker leaves after a clause, by the mark it ends with."""
    last = text.rstrip(_CLOSING)[-1:]
    if not last:
        return 0.0
    if last in _SENTENCE_MARKS:
        return _SENTENCE_PAUSE_S
    return _CLAUSE_PAUSE_S if last in _CLAUSE_MARKS else _WORD_PAUSE_S


def master(stretches: Iterable[FloatArray], *, gain: float, pause_s: float) -> Iterator[FloatArray]:
    """One clause, ready to be played, as it is made: pieces of at most 100 ms.

    The silence around the sound is cut to 5 ms before it and `pause_s` after it. The level is multiplied by `gain`, or
    from where it must be by less, so that the true peak (8 x oversampled, after ITU-R BS.1770-4) stays below -1.5 dBTP.
    Both ends fade in 5 ms. Float32 mono, shape (samples,), 24 kHz; nothing where nothing is audible.
    """
    held = np.zeros(0, np.float32)  # what may be the end, or the silence before the beginning
    begun = False
    level = np.float32(gain)
    for stretch in stretches:
        raw = np.nan_to_num(stretch, posinf=0.0, neginf=0.0)
        lower = np.minimum(level, np.float32(_CEILING / max(true_peak(raw), _AUDIBLE)))
        held *= np.linspace(1.0, lower / level, held.size, dtype=np.float32)
        level = lower
        held = np.concatenate([held, raw * level])
        start, end = _audible_span(held)
        if start == end:
            held = held if begun else held[max(0, held.size - _LEAD_IN) // _FRAME * _FRAME :]
            continue
        if not begun:
            held = _faded_in(held[max(0, start - _LEAD_IN) :])
            end -= max(0, start - _LEAD_IN)
            begun = True
        sure = max(0, min(end, held.size - _RELEASE)) // _FRAME * _FRAME
        yield from _pieces(held[:sure])
        held = held[sure:]
    if begun:
        yield from _pieces(_ended(held, pause_s))


def _faded_in(samples: FloatArray) -> FloatArray:
    fade = np.linspace(0.0, 1.0, min(_FADE, samples.size), dtype=np.float32)
    return np.concatenate([samples[: fade.size] * fade, samples[fade.size :]])


def _ended(samples: FloatArray, pause_s: float) -> FloatArray:
    """The last of a clause: what is audible, faded out, and then silence."""
    _, end = _audible_span(samples)
    kept = samples[: end + _RELEASE].copy()
    fade = np.linspace(1.0, 0.0, min(_FADE, kept.size), dtype=np.float32)
    kept[kept.size - fade.size :] *= fade
    return np.pad(kept, (0, max(0, end + round(pause_s * OUTPUT_RATE_HZ) - kept.size)))


def true_peak(samples_24k: FloatArray) -> float:
    """The largest absolute value between and at the samples, by 8 x oversampling."""
    oversampled = soxr.resample(samples_24k, OUTPUT_RATE_HZ, OUTPUT_RATE_HZ * 8, quality="HQ")
    return float(max(np.max(np.abs(oversampled), initial=0.0), np.max(np.abs(samples_24k), initial=0.0)))


def _pieces(samples_24k: FloatArray) -> Iterator[FloatArray]:
    """`samples_24k` in turn, 100 ms at a time."""
    for start in range(0, samples_24k.size, _PIECE):
        yield samples_24k[start : start + _PIECE]


def _audible_span(samples: FloatArray) -> tuple[int, int]:
    """The first and one past the last sample of the frames in which anything passes -45 dBFS; (0, 0) if none."""
    frames = np.abs(samples[: samples.size // _FRAME * _FRAME]).reshape(-1, _FRAME).max(axis=1)
    audible = np.flatnonzero(frames > _AUDIBLE)
    if not audible.size:
        return 0, 0
    return int(audible[0]) * _FRAME, int(audible[-1] + 1) * _FRAME
