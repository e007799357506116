"""Sound files, read and written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from client.audio import SoundFileError, from_pcm16, read_pcm16, rms, save_wav, to_pcm16


def test_full_scale_saturates() -> None:
    assert to_pcm16(np.array([1.0, 2.0, -1.0, -2.0], dtype=np.float32)) == b"\xff\x7f\xff\x7f\x00\x80\x00\x80"


def test_half_a_sample_is_dropped() -> None:
    assert from_pcm16(b"\x00\x40\x7f") == pytest.approx([0.5])


def test_the_level_of_a_square_wave_is_its_height() -> None:
    assert rms(np.tile([0.5, -0.5], 100).astype(np.float32)) == pytest.approx(0.5)
    assert rms(np.zeros(0, np.float32)) == 0.0


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
