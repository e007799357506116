"""What goes to a loudspeaker is safe, whatever came."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from client.audio import LARGEST_JUMP, SoundFileError, limit_jumps, read_pcm16, safe_samples, save_wav, to_pcm16


@given(pcm=st.binary(max_size=400))
def test_any_bytes_become_safe_samples(pcm: bytes) -> None:
    samples = safe_samples(pcm)
    assert len(samples) == len(pcm) // 2
    assert np.all(np.abs(np.diff(samples, prepend=np.float32(0.0))) <= LARGEST_JUMP)


@given(samples=arrays.arrays(np.float32, st.integers(0, 100), elements=st.floats(width=32)))
def test_any_floats_become_finite_in_range_and_without_jumps(samples: np.ndarray) -> None:
    limited = limit_jumps(samples)
    assert np.all(np.isfinite(limited))
    assert np.all(np.abs(limited) <= 1.0)
    assert np.all(np.abs(np.diff(limited, prepend=np.float32(0.0))) <= LARGEST_JUMP + 1e-6)


@given(samples=arrays.arrays(np.float32, st.integers(0, 100), elements=st.floats(-0.5, 0.5, width=32)))
def test_what_is_safe_is_not_touched(samples: np.ndarray) -> None:
    assert np.array_equal(limit_jumps(samples), samples)


def test_a_wrapped_sample_is_reached_by_a_smaller_step() -> None:
    wrapped = np.array([0.9, 0.99, -1.0, 0.98, 0.9], dtype=np.float32)
    assert limit_jumps(wrapped) == pytest.approx([0.9, 0.99, -0.01, 0.98, 0.9])


def test_full_scale_saturates() -> None:
    assert to_pcm16(np.array([1.0, 2.0, -1.0, -2.0], dtype=np.float32)) == b"\xff\x7f\xff\x7f\x00\x80\x00\x80"


def test_a_stereo_file_of_another_rate_is_read(tmp_path: Path) -> None:
    path = tmp_path / "question.flac"
    soundfile.write(path, np.full((44_100, 2), 0.25), 44_100)
    samples = np.frombuffer(read_pcm16(path, 16_000), dtype="<i2")
    assert len(samples) == 16_000
    assert np.median(samples) == pytest.approx(8192, abs=2)


def test_a_saved_reply_reads_back(tmp_path: Path) -> None:
    path = tmp_path / "reply.wav"
    save_wav(path, np.array([0.0, 0.5, -1.0], dtype=np.float32), 24_000)
    assert read_pcm16(path, 24_000) == b"\x00\x00\x00\x40\x00\x80"


@pytest.mark.parametrize("content", [None, b"", b"not sound"])
def test_what_is_no_sound_is_said_so(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "question.wav"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SoundFileError, match=r"question\.wav"):
        read_pcm16(path, 16_000)
