from __future__ import annotations

import base64

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.audio import float_to_pcm16
from server.realtime.errors import ProtocolError
from server.realtime.formats import InputStream, OutputStream
from server.realtime.session import Pcm, Pcma, Pcmu

FORMATS = [Pcm(), Pcmu(type="audio/pcmu"), Pcma(type="audio/pcma")]


def decoded(stream: InputStream, encoded: bytes) -> np.ndarray:
    pieces = [*stream.push(base64.b64encode(encoded).decode()), stream.flush()]
    return np.concatenate(pieces)


@given(st.text(), st.sampled_from(FORMATS))
def test_any_text_is_decoded_or_refused(text: str, audio_format: Pcm | Pcmu | Pcma) -> None:
    try:
        pieces = list(InputStream(audio_format).push(text))
    except ProtocolError:
        pieces = []
    assert all(piece.dtype == np.float32 and np.isfinite(piece).all() for piece in pieces)


@pytest.mark.parametrize("audio_format", FORMATS, ids=lambda audio_format: audio_format.type)
def test_a_tone_survives_the_way_out_and_in(audio_format: Pcm | Pcmu | Pcma) -> None:
    tone = (0.5 * np.sin(2 * np.pi * 440 * np.arange(24_000) / 24_000)).astype(np.float32)
    out = OutputStream(audio_format)
    deltas = [*out.push(tone[:7_001]), *out.push(tone[7_001:]), *out.push(tone[:0], last=True)]
    heard = decoded(InputStream(audio_format), b"".join(base64.b64decode(delta) for delta in deltas))
    expected = 0.5 * np.sin(2 * np.pi * 440 * np.arange(16_000) / 16_000)
    assert abs(heard.size - 16_000) <= 2
    middle = slice(1_000, 15_000)
    assert np.abs(heard[middle] - expected[middle]).max() < (0.001 if isinstance(audio_format, Pcm) else 0.03)


@pytest.mark.parametrize(
    ("audio_format", "code", "level"),
    [
        (FORMATS[1], 0x00, -32_124),
        (FORMATS[1], 0x80, 32_124),
        (FORMATS[1], 0xFF, 0),
        (FORMATS[2], 0x2A, -32_256),
        (FORMATS[2], 0xAA, 32_256),
        (FORMATS[2], 0xD5, 8),
    ],
)
def test_levels_are_those_of_g711(audio_format: Pcmu | Pcma, code: int, level: int) -> None:
    heard = decoded(InputStream(audio_format), bytes([code]) * 4_000)
    assert heard[2_000:6_000] == pytest.approx(level / 32_768, abs=1e-4)


def test_half_a_sample_is_refused_and_named() -> None:
    with pytest.raises(ProtocolError, match="odd"):
        InputStream(Pcm()).push(base64.b64encode(b"abc").decode())


@given(st.lists(st.integers(0, 700), max_size=8))
def test_appends_join_without_seams(lengths: list[int]) -> None:
    tone = (0.5 * np.sin(2 * np.pi * 300 * np.arange(sum(lengths)) / 24_000)).astype(np.float32)
    pcm = float_to_pcm16(tone)
    whole, pieces = InputStream(Pcm()), InputStream(Pcm())
    at_once = decoded(whole, pcm)
    heard, start = [], 0
    for length in lengths:
        heard += pieces.push(base64.b64encode(pcm[2 * start : 2 * (start + length)]).decode())
        start += length
    assert np.concatenate([*heard, pieces.flush()]) == pytest.approx(at_once, abs=1e-6)
