"""The last thing before a loudspeaker: whatever arrives, what leaves is finite, within [-1, 1] and free of cracks.

`server/page/clip_guard.js` is the same guard for the page, and `tests/page/` holds the two to the same output.
"""

from __future__ import annotations

import math

import numpy as np

from client.audio import FloatArray

LARGEST_STEP = 1.0
"""Between neighbours: half of what a sample can span, and a full-scale tone of a sixth of the sample rate."""
RAMP_SAMPLES = 128
"""The length of the ramp over a joint: 5 ms at 24 kHz, 8 ms at 16 kHz."""


class ClipGuard:
    """Guards one stream, whatever pieces it comes in. It adds no delay: there is a sample out for each one in.

    Of everything that leaves, together: each sample is finite and within [-1, 1], and no further than `LARGEST_STEP`
    from the one before it, the first from silence. What is like that already passes bit for bit. Three things are
    altered:

    - a sample beyond full scale becomes full scale;
    - one that is not finite becomes silence, and either end of a run of such is a joint;
    - a joint (`join`, or a step of more than `LARGEST_STEP`, as an int16 makes when it wraps around and when it comes
      back) is taken at the height of the sample before it, and the difference fades over `RAMP_SAMPLES`. So what
      wrapped stays near the top where it was meant to be, and a true break becomes a short ramp.
    """

    def __init__(self) -> None:
        self._last = 0.0
        self._meant = 0.0
        self._difference = 0.0
        self._fading = 0
        self._joint = False
        self._broken = False

    def join(self) -> None:
        """What comes next does not belong to what came before: another reply, or the rest of one that stood still."""
        self._joint = True

    def push(self, samples: FloatArray) -> FloatArray:
        """The samples, shape (n,), as they may be played; float32, shape (n,)."""
        if not samples.size:
            return samples
        if self._joint or self._fading or self._broken or not _is_clean(samples, self._last):
            guarded = np.array([self._guard(sample) for sample in samples.tolist()], dtype=np.float32)
        else:
            guarded = samples
            self._last = self._meant = float(samples[-1])
        return guarded

    def _guard(self, sample: float) -> float:
        broken = not math.isfinite(sample)
        meant = 0.0 if broken else min(max(sample, -1.0), 1.0)
        joint = self._joint or broken != self._broken or abs(meant - self._meant) > LARGEST_STEP
        self._joint, self._broken, self._meant = False, broken, meant
        played = meant
        if self._fading:
            faded = float(np.float32(meant + self._difference * self._fading / RAMP_SAMPLES))
            played = min(max(faded, -1.0), 1.0)
            self._fading -= 1
        if joint or abs(played - self._last) > LARGEST_STEP:
            played, self._difference, self._fading = self._last, self._last - meant, RAMP_SAMPLES - 1
        self._last = played
        return played


def _is_clean(samples: FloatArray, before: float) -> bool:
    # A comparison with NaN is false, so what is not finite is not clean.
    within = np.abs(samples).max() <= 1.0
    return bool(within and np.abs(np.diff(samples.astype(np.float64), prepend=before)).max() <= LARGEST_STEP)
