"""Clipping safety of a reply, exactly as received. It sees PCM, not sound pressure: it claims nothing about hearing."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from harness.recording import Recording
from harness.reply import FULL_SCALE, Reply

VERSION = 2
"""2: each reply of a recording by itself, so that what lies between two replies is no click; `broken-off` is new."""

RATES_HZ = (16_000, 24_000)
"""What the two protocols reply at."""
TOP = 32_767 / FULL_SCALE
"""Full scale: the largest positive sample; the largest negative one lies a step beyond it."""
WRAP_JUMP = 1.5
RUN_SAMPLES = 3
FULL_SCALE_SHARE = 0.001
TRUE_PEAK_WARNS_DBTP = -1.0
TRUE_PEAK_FAILS_DBTP = 0.0
OVERSAMPLING = 8
DC_OFFSET = 0.01
LOUDNESS_LUFS = (-30.0, -14.0)
LOUDNESS_STEP_LU = 6.0
LOUDNESS_SECONDS = 0.4
QUIETEST_LUFS = -70.0
"""The absolute gate of ITU-R BS.1770: nothing below it has a loudness."""
CLICK_RATIO = 4.0
CLICK_FLOOR = 0.02
CLICK_SECONDS = 0.015
BROKEN_OFF_STEP = 0.05
DEAD_AIR_SECONDS = 1.0
DEAD_AIR_DBFS = -50.0
MOST_FINDINGS = 20
"""Of one check in one reply; a wreck need not be listed sample by sample."""

Severity = Literal["fail", "warn"]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing wrong with a reply.

    Attributes:
        check: its name.
        severity: `fail` is counted by the gate, `warn` is shown.
        chunk: index of the chunk as received, over all replies of the recording.
        at_ms: position in the recording's audio, its replies one after the other, milliseconds.
        value: what was found, in `unit`.
        limit: what is allowed, in `unit`.
    """

    check: str
    severity: Severity
    chunk: int
    at_ms: float
    value: float
    limit: float
    unit: str


@dataclass(frozen=True, slots=True)
class Clipping:
    """What was found in one reply, or in all of a recording in which the server replied more than once.

    `loudness_lufs` is that of the last reply that has one. A reply that is shorter than 0.4 s, too quiet, or broken off
    has none; `note` says so.
    """

    findings: tuple[Finding, ...]
    seconds: float
    true_peak_dbtp: float | None
    loudness_lufs: float | None
    note: str = ""


def examine(recording: Recording, previous_lufs: float | None = None) -> Clipping:
    """Every check on PCM16, on each reply by itself.

    `previous_lufs` is the loudness of the reply before the first one, of the same voice.
    """
    found = Clipping(tuple(_format(recording)), 0.0, None, None)
    samples_before = 0
    for reply in Reply.each(recording):
        signal = _Signal(
            reply.floats, reply.ends, reply.rate_hz, samples_before, reply.first_chunk, broken_off=reply.broken_off
        )
        found = _join(found, _examine(signal, previous_lufs))
        samples_before += reply.samples.size
        previous_lufs = previous_lufs if found.loudness_lufs is None else found.loudness_lufs
    return found


def examine_floats(
    chunks: Sequence[npt.NDArray[np.floating]], rate_hz: int, previous_lufs: float | None = None
) -> Clipping:
    """Every check on a reply of float samples, mono, shape (samples,) each, full scale 1.0.

    NaN and infinity are found, and then taken for silence.
    """
    samples = np.concatenate([np.asarray(chunk, dtype=np.float64) for chunk in chunks]) if chunks else np.empty(0)
    ends = np.cumsum([len(chunk) for chunk in chunks], dtype=np.int64)
    bad = ~np.isfinite(samples)
    signal = _Signal(np.where(bad, 0.0, samples), ends, rate_hz)
    found = _examine(signal, previous_lufs)
    if not bad.any():
        return found
    finding = signal.finding("not-finite", "fail", int(np.argmax(bad)), int(bad.sum()), 0, "samples")
    return replace(found, findings=(finding, *found.findings))


@dataclass(frozen=True, slots=True)
class _Signal:
    """One reply: finite samples, the index after each chunk's last, and what came before it in the recording."""

    samples: Floats
    ends: npt.NDArray[np.int64]
    rate_hz: int
    samples_before: int = 0
    chunks_before: int = 0
    broken_off: bool = False

    def finding(self, check: str, severity: Severity, sample: int, value: float, limit: float, unit: str) -> Finding:
        chunk = min(int(np.searchsorted(self.ends, sample, side="right")), max(0, self.ends.size - 1))
        at_ms = round(1_000 * (self.samples_before + sample) / self.rate_hz, 3)
        return Finding(check, severity, self.chunks_before + chunk, at_ms, round(float(value), 4), limit, unit)


def _format(recording: Recording) -> Iterator[Finding]:
    """What is wrong with the bytes before they are samples."""
    frame_bytes = 2 * recording.channels
    received = 0
    for index, chunk in enumerate(recording.chunks):
        received += len(chunk.pcm)
        if len(chunk.pcm) % 2:
            at_ms = round(1_000 * (received // frame_bytes) / recording.rate_hz, 3)
            yield Finding("odd-bytes", "fail", index, at_ms, len(chunk.pcm), 0, "bytes")
    if recording.rate_hz not in RATES_HZ:
        yield Finding("rate", "fail", 0, 0.0, recording.rate_hz, RATES_HZ[-1], "Hz")
    if recording.channels != 1:
        yield Finding("channels", "fail", 0, 0.0, recording.channels, 1, "channels")


def _join(before: Clipping, found: Clipping) -> Clipping:
    """What is known of a recording after one more of its replies."""
    peaks_dbtp = [peak for peak in (before.true_peak_dbtp, found.true_peak_dbtp) if peak is not None]
    return Clipping(
        before.findings + found.findings,
        round(before.seconds + found.seconds, 6),
        max(peaks_dbtp, default=None),
        before.loudness_lufs if found.loudness_lufs is None else found.loudness_lufs,
        "; ".join(dict.fromkeys(filter(None, (before.note, found.note)))),
    )


def _examine(signal: _Signal, previous_lufs: float | None) -> Clipping:
    if not signal.samples.size:
        return Clipping((), 0.0, None, None, "no whole sample arrived")
    findings: list[Finding] = []
    peak_dbtp, peak_at = _true_peak(signal)
    loudness_lufs, note = _loudness(signal)
    for check in (_wraps, _full_scale, _dc_offset, _clicks, _dead_air):
        findings += list(check(signal))[:MOST_FINDINGS]
    if peak_dbtp > TRUE_PEAK_WARNS_DBTP:
        severity: Severity = "fail" if peak_dbtp > TRUE_PEAK_FAILS_DBTP else "warn"
        limit = TRUE_PEAK_FAILS_DBTP if severity == "fail" else TRUE_PEAK_WARNS_DBTP
        findings.append(signal.finding("true-peak", severity, peak_at, peak_dbtp, limit, "dBTP"))
    findings += _loudness_findings(signal, loudness_lufs, previous_lufs)
    seconds = round(signal.samples.size / signal.rate_hz, 6)
    known = None if loudness_lufs is None or loudness_lufs < QUIETEST_LUFS else round(loudness_lufs, 2)
    return Clipping(tuple(findings), seconds, round(peak_dbtp, 2), known, note)


def _wraps(signal: _Signal) -> Iterator[Finding]:
    """An overflow of int16 turns +1 into -1: a jump that no speech makes between neighbours."""
    jumps = np.abs(np.diff(signal.samples))
    for index in np.flatnonzero(jumps >= WRAP_JUMP):
        yield signal.finding("wrap-around", "fail", int(index) + 1, jumps[index], WRAP_JUMP, "of full scale")


def _full_scale(signal: _Signal) -> Iterator[Finding]:
    """Runs of clipped samples of one sign, and their share of all."""
    for sign in (1, -1):
        clipped = np.concatenate(([0], (sign * signal.samples >= TOP).astype(np.int8), [0]))
        starts, ends = np.flatnonzero(np.diff(clipped) == 1), np.flatnonzero(np.diff(clipped) == -1)
        for start, end in zip(starts, ends, strict=True):
            if end - start >= RUN_SAMPLES:
                yield signal.finding("full-scale-run", "fail", int(start), int(end - start), RUN_SAMPLES - 1, "samples")
    share = float(np.mean(np.abs(signal.samples) >= TOP))
    if share > FULL_SCALE_SHARE:
        first = int(np.argmax(np.abs(signal.samples) >= TOP))
        yield signal.finding("full-scale-share", "fail", first, share, FULL_SCALE_SHARE, "of samples")


def _true_peak(signal: _Signal) -> tuple[float, int]:
    """The peak between the samples too, in dBTP, and the sample nearest to it (ITU-R BS.1770, annex 2, at 8 times)."""
    from scipy.signal import resample_poly

    levels = np.abs(resample_poly(signal.samples, OVERSAMPLING, 1))
    place = int(np.argmax(levels))
    # Below the step of 16 bits there is nothing to measure, and zero has no logarithm.
    peak = max(float(levels[place]), 1 / FULL_SCALE)
    return 20 * math.log10(peak), min(place // OVERSAMPLING, signal.samples.size - 1)


def _dc_offset(signal: _Signal) -> Iterator[Finding]:
    offset = float(np.mean(signal.samples))
    if abs(offset) > DC_OFFSET:
        yield signal.finding("dc-offset", "fail", 0, offset, DC_OFFSET, "of full scale")


def _loudness(signal: _Signal) -> tuple[float | None, str]:
    """Integrated loudness (ITU-R BS.1770), or why there is none; -inf for a reply that is all below its gate.

    A part of a reply may be a soft part of it, so what was broken off is not held to the limits of a whole one.
    """
    if signal.broken_off:
        return None, "broken off: no loudness of a whole reply"
    if signal.samples.size < LOUDNESS_SECONDS * signal.rate_hz:
        return None, f"shorter than {LOUDNESS_SECONDS} s: no loudness can be measured"
    import pyloudnorm

    with np.errstate(divide="ignore"):  # digital silence has no logarithm
        loudness_lufs = float(pyloudnorm.Meter(signal.rate_hz).integrated_loudness(signal.samples))
    return loudness_lufs, "" if loudness_lufs >= QUIETEST_LUFS else "too quiet to have a loudness"


def _loudness_findings(signal: _Signal, loudness_lufs: float | None, previous_lufs: float | None) -> Iterator[Finding]:
    if loudness_lufs is None:
        return
    found = max(loudness_lufs, QUIETEST_LUFS)
    lowest, highest = LOUDNESS_LUFS
    if not lowest <= found <= highest:
        yield signal.finding("loudness", "fail", 0, found, lowest if found < lowest else highest, "LUFS")
    if previous_lufs is not None and abs(found - previous_lufs) > LOUDNESS_STEP_LU:
        yield signal.finding("loudness-step", "fail", 0, found - previous_lufs, LOUDNESS_STEP_LU, "LU")


def _clicks(signal: _Signal) -> Iterator[Finding]:
    """Jumps where two chunks of a reply meet, at its start out of silence, and at its end into it.

    A click bends the signal at one place far more than it bends within 15 ms on either side; the burst of a plosive is
    just as sharp but lasts, so its surroundings are as sharp as itself. The bend is the second difference. Over 85
    recordings of six languages all but three of 23 million places stay below a ratio of 3.4, and those three are
    clicks of the recording.

    The end of a reply that was broken off is no click. A client that hears of the interruption stops its loudspeaker
    where that is at the moment, which is not where the received samples end; one that does not plays to the last of
    them. Which of the two happens is not in the PCM. So it is a finding of its own, `broken-off`, that is shown and
    fails nothing: the step from the last sample down to silence, where it is larger than a twentieth of full scale
    (-26 dBFS). What comes next starts out of silence for either client, and is held to `click-start`.
    """
    reach = round(CLICK_SECONDS * signal.rate_hz)
    padded = np.pad(signal.samples, reach + 2)
    bend = np.abs(np.diff(padded, 2))  # bend[i] is about padded[i + 1]
    seams = sorted({0, *map(int, signal.ends)})
    if signal.broken_off and abs(signal.samples[-1]) > BROKEN_OFF_STEP:
        step = abs(signal.samples[-1])
        yield signal.finding("broken-off", "warn", signal.samples.size - 1, step, BROKEN_OFF_STEP, "of full scale")
    for seam in seams:
        if signal.broken_off and seam == signal.samples.size:
            continue
        place = seam + reach  # of the bend about the last sample before the seam; the next is about the first after it
        sharpest = float(max(bend[place], bend[place + 1]))
        around = np.concatenate((bend[max(0, place - reach) : place - 1], bend[place + 3 : place + reach]))
        if sharpest > CLICK_FLOOR and sharpest > CLICK_RATIO * float(np.max(around)):
            check = "click-start" if seam == 0 else "click-end" if seam == signal.samples.size else "click-seam"
            sample = min(seam, signal.samples.size - 1)
            yield signal.finding(check, "fail", sample, sharpest, CLICK_FLOOR, "of full scale")


def _dead_air(signal: _Signal) -> Iterator[Finding]:
    """Silence of more than a second between two sounds of one reply."""
    window = signal.rate_hz // 100
    whole = signal.samples[: signal.samples.size - signal.samples.size % window].reshape(-1, window)
    sounding = np.flatnonzero(np.sqrt(np.mean(whole**2, axis=1)) > 10 ** (DEAD_AIR_DBFS / 20))
    gaps = np.diff(sounding) - 1
    for index in np.flatnonzero(gaps * window > DEAD_AIR_SECONDS * signal.rate_hz):
        start = (int(sounding[index]) + 1) * window
        yield signal.finding("dead-air", "fail", start, gaps[index] * window / signal.rate_hz, DEAD_AIR_SECONDS, "s")
