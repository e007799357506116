"""The sound of a scenario's lines: clips read, treated and mixed, at the rate of the target's microphone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from harness.fixtures import NO_SPEECH, Fixture, read
from harness.fixtures import treatments as treat
from harness.fixtures.scenarios import Behind, Line, Scenario
from harness.fixtures.store import FloatArray

BEHIND_S = 20.0
"""What is heard behind a scenario begins anew after so long."""


@dataclass(frozen=True, slots=True)
class Sound:
    """A line, rendered.

    Attributes:
        samples: float32 mono, shape (samples,), in [-1, 1].
        speech_start: the first sample of speech; 0 for a sound without speech.
        speech_end: one past the last one; the end of a sound without speech.
        what: the clip's id, `silence` or `noise`.
        language: of the clip; `none` without speech.
        transcript: of the clip; empty without speech.
        treatment: what was done to it, in words.
    """

    samples: FloatArray
    speech_start: int
    speech_end: int
    what: str
    language: str = NO_SPEECH
    transcript: str = ""
    treatment: str = ""


def render(line: Line, clips: Mapping[str, Fixture], rate_hz: int) -> Sound:
    """A line as it is played.

    Raises:
        harness.fixtures.FixtureError: its clip's file cannot be read.
    """
    if line.clip is None:
        assert line.seconds is not None  # noqa: S101 - the parser's to see to
        if line.noise_dbfs is None:
            samples, what, told = treat.silence(line.seconds, rate_hz), "silence", f"{line.seconds:g} s"
        else:
            samples, what = treat.noise(line.seconds, line.noise_dbfs, rate_hz), "noise"
            told = f"{line.seconds:g} s of white noise at {line.noise_dbfs:g} dBFS"
        return Sound(samples, 0, samples.size, what, treatment=told)
    clip = clips[line.clip]
    samples = read(clip, rate_hz)
    start, end = (0, samples.size) if clip.language == NO_SPEECH else clip.speech_at(rate_hz)
    done: list[str] = []
    if line.pause_s:
        at = middle_gap(clip, rate_hz)
        samples = treat.with_pause(samples, at, line.pause_s, rate_hz)
        end += round(line.pause_s * rate_hz)
        done.append(f"a pause of {line.pause_s:g} s after {at / rate_hz:.2f} s")
    if line.gain_db:
        samples = treat.with_gain(samples, line.gain_db)
        done.append(f"{line.gain_db:+g} dB")
    if line.overdrive_db is not None:
        samples = treat.overdriven(samples, line.overdrive_db)
        done.append(f"driven {line.overdrive_db:g} dB beyond full scale")
    if line.telephone:
        samples = treat.through_telephone(samples, rate_hz)
        done.append("through a telephone line")
    return Sound(samples, start, min(end, samples.size), clip.id, clip.language, clip.transcript, ", ".join(done))


def middle_gap(clip: Fixture, rate_hz: int) -> int:
    """The sample, at `rate_hz`, of the word gap that lies nearest to the middle of the speech.

    Raises:
        ValueError: the clip has no speech, or no word gaps.
    """
    start, end = clip.speech_at(clip.rate_hz)
    gap = min(clip.word_gaps, key=lambda gap: abs(gap - (start + end) / 2))
    return round(gap * rate_hz / clip.rate_hz)


def render_behind(scenario: Scenario, first: Sound, clips: Mapping[str, Fixture], rate_hz: int) -> FloatArray | None:
    """What is heard behind a scenario, to be repeated: float32 mono; None for nothing.

    Raises:
        harness.fixtures.FixtureError: a clip's file cannot be read.
    """
    behind: Behind | None = scenario.behind
    if behind is None:
        return None
    voices = []
    for name in behind.clips:
        samples, clip = read(clips[name], rate_hz), clips[name]
        voices.append(samples if clip.language == NO_SPEECH else samples[slice(*clip.speech_at(rate_hz))])
    level = treat.rms(first.samples[first.speech_start : first.speech_end])
    return treat.at_snr(treat.babble(voices, BEHIND_S, rate_hz), level, behind.snr_db)
