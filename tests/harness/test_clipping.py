from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import firwin

from harness.fixtures import available, read
from harness.measures import clipping
from harness.measures.clipping import Clipping, Finding
from harness.recording import Chunk, Recording

RATE_HZ = 24_000
RECORDED = ("en_LJ001_0002", "en_LJ001_0008", "es_fleurs_000", "ja_leopard")
Samples = npt.NDArray[np.float64]


def speechlike(seconds: float = 2.0, seed: int = 0) -> Samples:
    """Noise with the spectrum of a voice, in syllables that fade in and out, at about -20 LUFS."""
    noise = np.random.default_rng(seed).standard_normal(round(seconds * RATE_HZ) + 400)
    smooth = np.convolve(noise, np.hanning(24) / 12, mode="same")[200:-200]
    time_s = np.arange(smooth.size) / RATE_HZ
    made: Samples = 0.12 * smooth / smooth.std() * np.sin(np.pi * time_s / 0.2) ** 2
    return made


def pcm(samples: Samples) -> bytes:
    return np.clip(np.rint(samples * 32_768), -32_768, 32_767).astype("<i2").tobytes()


def recording(pieces: Sequence[bytes], rate_hz: int = RATE_HZ, channels: int = 1) -> Recording:
    made = Recording("en-01", "en", "realtime", 0.02, 2.0, rate_hz=rate_hz, channels=channels, ended_s=3.0)
    made.chunks = [Chunk(2.5, piece) for piece in pieces]
    return made


def examine(samples: Samples, cuts: Sequence[int] = (), **options: float) -> Clipping:
    return clipping.examine(recording([pcm(piece) for piece in np.split(samples, cuts)]), **options)


def only(found: Clipping, check: str) -> Finding:
    assert {finding.check for finding in found.findings} == {check}
    return found.findings[0]


def first(found: Clipping, check: str) -> Finding:
    return next(finding for finding in found.findings if finding.check == check)


@functools.cache
def voices() -> list[tuple[Samples, int]]:
    """Clean voices at the level of a reply: the project's own clips, and recordings where there are any."""
    chosen = available("synthetic") + [
        clip for clip in available("recorded", ["en", "es", "ja"]) if clip.id in RECORDED
    ]
    return [(read(clip, clip.rate_hz).astype(np.float64), clip.rate_hz) for clip in chosen]


def test_clean_noise_is_clean() -> None:
    found = examine(speechlike(), range(480, 48_000, 480))
    assert found.findings == ()
    assert (found.seconds, found.note) == (2.0, "")
    assert found.loudness_lufs == pytest.approx(-20, abs=4)


def test_an_odd_byte_count() -> None:
    pieces = [pcm(speechlike(1.0)), pcm(speechlike(1.0, 1))[:-1]]
    found = only(clipping.examine(recording(pieces)), "odd-bytes")
    assert (found.severity, found.chunk, found.value) == ("fail", 1, 47_999)


def test_a_wrong_rate() -> None:
    assert only(clipping.examine(recording([pcm(speechlike())], rate_hz=22_050)), "rate").value == 22_050


def test_a_wrong_channel_count() -> None:
    stereo = np.repeat(speechlike(), 2)
    assert only(clipping.examine(recording([pcm(stereo)], channels=2)), "channels").value == 2


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_not_a_number(bad: float) -> None:
    samples = speechlike()
    samples[24_000] = bad
    found = only(clipping.examine_floats(np.split(samples, [12_000]), RATE_HZ), "not-finite")
    assert (found.chunk, found.at_ms, found.value) == (1, 1_000.0, 1)


def test_an_integer_that_wraps_around() -> None:
    time_s = np.arange(RATE_HZ) / RATE_HZ
    loud = 1.05 * np.sin(2 * np.pi * 200 * time_s) * np.hanning(RATE_HZ)
    wrapped = (np.rint(loud * 32_768).astype(np.int64)).astype("<i2").tobytes()  # the cast that forgets to clip
    found = first(clipping.examine(recording([wrapped])), "wrap-around")
    assert found.severity == "fail"
    assert found.value > 1.9


def test_one_wrapped_sample_is_enough() -> None:
    samples = speechlike()
    samples[24_000:24_002] = 0.99, -0.99
    found = first(examine(samples, [12_000]), "wrap-around")
    assert found.chunk == 1
    assert found.at_ms == pytest.approx(1_000 + 1_000 / RATE_HZ, abs=1e-3)


@pytest.mark.parametrize("top", [1.0, -1.0])
def test_a_run_at_full_scale(top: float) -> None:
    samples = speechlike()
    samples[24_000:24_003] = top
    found = first(examine(samples, [12_000]), "full-scale-run")
    assert (found.severity, found.chunk, found.at_ms, found.value) == ("fail", 1, 1_000.0, 3)
    samples[24_002] = 0.9 * top
    assert "full-scale-run" not in {finding.check for finding in examine(samples).findings}


def test_a_share_at_full_scale() -> None:
    samples = speechlike()
    samples[1_000:48_000:900] = 1.0
    found = first(examine(samples), "full-scale-share")
    assert found.value == pytest.approx(53 / 48_000, abs=1e-4)
    samples[1_000:48_000:1_800] = 0.0
    assert "full-scale-share" not in {finding.check for finding in examine(samples).findings}


@pytest.mark.parametrize(("amplitude", "severity"), [(0.95, "warn"), (1.2, "fail")])
def test_a_true_peak_between_the_samples(amplitude: float, severity: str) -> None:
    """A sine of a quarter of the rate, sampled 45 degrees off its crests: its samples reach 0.71 of its peak."""
    time = np.arange(RATE_HZ)
    samples = amplitude * np.sin(np.pi / 2 * time + np.pi / 4) * np.hanning(RATE_HZ) ** 4
    assert np.abs(samples).max() < 0.86
    found = first(examine(samples), "true-peak")
    assert found.severity == severity
    assert found.value == pytest.approx(20 * np.log10(amplitude), abs=0.1)
    assert found.at_ms == pytest.approx(500, abs=15)


def test_a_dc_offset() -> None:
    ramp = np.minimum(1, np.minimum(np.arange(48_000), np.arange(48_000)[::-1]) / 2_400)
    assert only(examine(speechlike() + 0.03 * ramp), "dc-offset").value == pytest.approx(0.03, abs=0.005)


@pytest.mark.parametrize(("gain", "limit"), [(0.2, -30.0), (0.0, -30.0)])
def test_too_quiet(gain: float, limit: float) -> None:
    found = only(examine(gain * speechlike()), "loudness")
    assert found.value < found.limit == limit


def test_too_loud() -> None:
    time_s = np.arange(2 * RATE_HZ) / RATE_HZ
    found = only(examine(0.6 * np.sin(2 * np.pi * 1_000 * time_s) * np.hanning(time_s.size) ** 0.25), "loudness")
    assert found.value > found.limit == -14.0


def test_a_short_reply_has_no_loudness_and_says_so() -> None:
    found = examine(speechlike(0.2))
    assert (found.findings, found.loudness_lufs) == ((), None)
    assert "shorter than 0.4 s" in found.note


def test_a_silent_reply_has_no_loudness_and_says_so() -> None:
    found = examine(np.zeros(RATE_HZ))
    assert (only(found, "loudness").value, found.loudness_lufs) == (-70.0, None)
    assert "too quiet" in found.note


def test_a_step_in_loudness_from_one_reply_to_the_next() -> None:
    loudness_lufs = examine(speechlike()).loudness_lufs
    assert loudness_lufs is not None
    found = only(examine(speechlike(), previous_lufs=loudness_lufs - 6.5), "loudness-step")
    assert found.value == pytest.approx(6.5, abs=0.01)
    assert examine(speechlike(), previous_lufs=loudness_lufs + 5.5).findings == ()


def test_a_click_where_two_chunks_meet() -> None:
    """The second chunk takes up the voice 5 ms too late: a jump."""
    voice = np.sin(2 * np.pi * 150 * np.arange(48_000) / RATE_HZ) * np.hanning(48_000) * 0.3
    broken = np.concatenate((voice[:24_000], voice[24_120:]))
    found = only(examine(broken, [24_000]), "click-seam")
    assert (found.chunk, found.at_ms) == (1, 1_000.0)
    assert examine(voice, [24_000]).findings == ()


@pytest.mark.parametrize("kink", [-1, 0])
def test_a_kink_on_either_side_of_a_seam_is_a_click(kink: int) -> None:
    """The wave goes on without a jump, but turns sharply: at the last sample before the seam, or the first after it."""
    time = np.maximum(0, np.arange(48_000) - 24_000 - kink)
    found = only(examine(speechlike() + 0.05 * time * np.exp(-time / 15), [24_000]), "click-seam")
    assert found.at_ms == 1_000.0


def test_a_click_at_the_start_and_at_the_end() -> None:
    voice = 0.2 * np.cos(2 * np.pi * 150 * np.arange(24_000) / RATE_HZ)
    found = examine(voice, [12_000])
    assert {(finding.check, finding.chunk) for finding in found.findings} == {("click-start", 0), ("click-end", 1)}


def test_a_plosive_at_a_seam_is_no_click() -> None:
    burst = np.random.default_rng(3).standard_normal(1_200) * np.exp(-np.arange(1_200) / 200) * 0.3
    samples = speechlike() * np.concatenate((np.ones(19_200), np.zeros(2_400), np.ones(26_400)))
    samples[21_600:22_800] += burst
    checks = {finding.check for finding in examine(samples, [21_600, 21_610, 21_700]).findings}
    assert "click-seam" not in checks


def two_replies(first: Samples, second: Samples, *, cancelled: bool, ended_s: float | None = 3.0) -> Clipping:
    """Two replies of two chunks each; the first one may have been broken off."""
    made = recording([pcm(piece) for whole in (first, second) for piece in np.split(whole, [whole.size // 2])])
    made.chunks = [replace(chunk, reply=index // 2) for index, chunk in enumerate(made.chunks)]
    made.cancelled = [0] if cancelled else []
    made.ended_s = ended_s
    return clipping.examine(made)


def cut_at_a_crest(seconds: float = 1.0, amplitude: float = 0.3) -> Samples:
    """A soft voice that stops where it is loudest."""
    time = np.arange(round(seconds * RATE_HZ))
    made: Samples = amplitude * np.cos(2 * np.pi * 150 * (time - time[-1]) / RATE_HZ)
    return made * np.minimum(1, time / 4_800)


def test_what_lies_between_two_replies_is_no_click() -> None:
    found = only(two_replies(cut_at_a_crest(), speechlike(), cancelled=True), "broken-off")
    assert (found.severity, found.chunk, found.value) == ("warn", 1, 0.3)
    assert found.at_ms == pytest.approx(1_000, abs=0.1)


def test_a_reply_that_ends_by_itself_in_mid_wave_is_a_click() -> None:
    found = first(two_replies(cut_at_a_crest(), speechlike(), cancelled=False), "click-end")
    assert (found.severity, found.chunk) == ("fail", 1)


def test_a_reply_whose_end_was_never_told_is_broken_off() -> None:
    found = examine(cut_at_a_crest(), [12_000])
    assert [finding.check for finding in found.findings if finding.check != "loudness"] == ["click-end"]
    made = recording([pcm(cut_at_a_crest())])
    made.ended_s = None
    assert only(clipping.examine(made), "broken-off").severity == "warn"
    made.ended_s = 2.4  # the audio came after what was told to be the end
    assert only(clipping.examine(made), "broken-off").chunk == 0


def test_a_click_inside_what_was_broken_off_is_one() -> None:
    begun = speechlike(1.0)
    begun[12_000:] += 0.2 * np.exp(-np.arange(12_000) / 100)
    found = only(two_replies(begun, speechlike(), cancelled=True), "click-seam")
    assert (found.chunk, found.at_ms) == (1, 500.0)


def test_a_soft_end_of_what_was_broken_off_is_nothing() -> None:
    assert two_replies(speechlike(1.0), speechlike(), cancelled=True).findings == ()
    assert two_replies(cut_at_a_crest(amplitude=0.049), speechlike(), cancelled=True).findings == ()


def test_what_follows_a_broken_reply_has_to_start_out_of_silence() -> None:
    second = speechlike()
    second[:480] += 0.2 * np.exp(-np.arange(480) / 100)
    found = two_replies(speechlike(1.0), second, cancelled=True)
    assert [(f.check, f.severity, f.chunk, f.at_ms) for f in found.findings] == [("click-start", "fail", 2, 1_000.0)]


def test_two_replies_are_held_against_each_other() -> None:
    found = two_replies(1.5 * speechlike(), 0.6 * speechlike(), cancelled=False)
    step = only(found, "loudness-step")
    assert (step.chunk, step.at_ms) == (2, 2_000.0)
    assert step.value == pytest.approx(-7.96, abs=0.1)
    assert found.seconds == 4.0
    assert found.loudness_lufs == clipping.examine(recording([pcm(0.6 * speechlike())])).loudness_lufs
    louder = clipping.examine(recording([pcm(1.5 * speechlike())]))
    assert found.true_peak_dbtp == louder.true_peak_dbtp


def test_a_part_of_a_reply_has_no_loudness() -> None:
    found = two_replies(0.1 * speechlike(1.0), speechlike(), cancelled=True)
    assert found.findings == ()
    assert "broken off" in found.note


def test_silence_between_two_replies_is_not_dead_air() -> None:
    first_reply = np.concatenate((speechlike(), np.zeros(RATE_HZ)))
    assert two_replies(first_reply, np.concatenate((np.zeros(RATE_HZ), speechlike())), cancelled=False).findings == ()


# The true-peak signals of EBU Tech 3341, table 1 (cases 15 to 23): a steady tone between whose samples the crest lies,
# and one louder period in such a tone, sampled at four offsets of a quarter of a sample. Tolerance: +0.2 / -0.4 dB.
STEADY = [
    (4, 0.0, 0.50, -6.0),
    (4, 45.0, 0.50, -6.0),
    (6, 60.0, 0.50, -6.0),
    (8, 67.5, 0.50, -6.0),
    (4, 45.0, 1.41, 3.0),
]


def faded(samples: Samples) -> Samples:
    ramp = np.minimum(1, np.arange(samples.size) / 2_400)
    made: Samples = samples * ramp * ramp[::-1]
    return made


@pytest.mark.parametrize("rate_hz", [16_000, 24_000])
@pytest.mark.parametrize(("divisor", "phase_degrees", "amplitude", "expected_dbtp"), STEADY)
def test_true_peak_of_a_steady_tone(
    rate_hz: int, divisor: int, phase_degrees: float, amplitude: float, expected_dbtp: float
) -> None:
    phase = 2 * np.pi * np.arange(rate_hz) / divisor + np.radians(phase_degrees)
    found = clipping.examine(recording([pcm(faded(amplitude * np.sin(phase)))], rate_hz)).true_peak_dbtp
    assert found is not None
    assert -0.4 <= found - expected_dbtp <= 0.2


@pytest.mark.parametrize("offset", range(4))
def test_true_peak_of_one_loud_period(offset: int) -> None:
    time = np.arange(4 * RATE_HZ)
    tone = 0.5 * np.sin(2 * np.pi * time / 24)  # a sixth of the rate, four times oversampled
    tone[48_000:48_024] *= 2
    smooth = np.convolve(faded(tone), firwin(255, 1 / 4), mode="same")
    crest_dbtp = 20 * np.log10(np.abs(smooth).max())
    found = clipping.examine(recording([pcm(smooth[offset::4])])).true_peak_dbtp
    assert found is not None
    assert -0.4 <= found - crest_dbtp <= 0.2


def test_dead_air_inside_a_reply() -> None:
    samples = np.concatenate((speechlike(1.0), np.zeros(26_400), speechlike(1.0, 1)))
    found = only(examine(samples, [24_000]), "dead-air")
    assert found.chunk == 0  # where the voice falls silent
    assert found.at_ms == pytest.approx(1_000, abs=20)
    assert found.value == pytest.approx(1.1, abs=0.04)


def test_silence_before_and_after_a_reply_is_not_inside_it() -> None:
    assert examine(np.concatenate((np.zeros(48_000), speechlike(), np.zeros(48_000)))).findings == ()


def test_nothing_arrived() -> None:
    found = clipping.examine(recording([b"", b"\0"]))
    assert (only(found, "odd-bytes").chunk, found.seconds, found.note) == (1, 0.0, "no whole sample arrived")


def test_a_wreck_is_not_listed_sample_by_sample() -> None:
    square = np.where(np.arange(48_000) % 20 < 10, 1.0, -1.0)
    found = [finding.check for finding in examine(square).findings]
    assert found.count("wrap-around") == found.count("full-scale-run") == 20


@given(st.lists(st.binary(max_size=400), max_size=8), st.sampled_from([16_000, 24_000]), st.integers(1, 3))
def test_any_bytes_can_be_examined(pieces: list[bytes], rate_hz: int, channels: int) -> None:
    found = clipping.examine(recording(pieces, rate_hz, channels))
    whole = sum(map(len, pieces)) // (2 * channels)
    assert found.seconds == pytest.approx(whole / rate_hz, abs=1e-6)
    assert all(finding.chunk < max(1, len(pieces)) and np.isfinite(finding.value) for finding in found.findings)


@settings(deadline=None, max_examples=20)
@given(st.data())
def test_nothing_fires_on_clean_speech_however_it_is_cut(data: st.DataObject) -> None:
    samples, rate_hz = data.draw(st.sampled_from(voices()))
    cuts = data.draw(st.lists(st.integers(0, samples.size), max_size=60))
    pieces = [pcm(piece) for piece in np.split(samples, sorted(cuts))]
    found = clipping.examine(recording(pieces, rate_hz))
    assert [finding for finding in found.findings if finding.check != "rate"] == []
