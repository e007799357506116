"""Audio as the Realtime protocol carries it: base64 of PCM16 at 24 kHz, or of G.711 at 8 kHz."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from pipeline.audio import (
    INPUT_RATE_HZ,
    OUTPUT_RATE_HZ,
    AudioFormatError,
    FloatArray,
    StreamResampler,
    float_to_pcm16,
    pcm16_to_float,
)
from server.realtime.errors import ProtocolError
from server.realtime.session import Pcm, Pcma, Pcmu

G711_RATE_HZ = 8_000
# The length of a delta: short enough to be stopped within one, long enough that base64 and JSON cost little.
DELTA_S = 0.1
# An append is taken in by pieces of this length, between which others get their turn.
PIECE_S = 0.1

_Levels = npt.NDArray[np.int16]


def _mu_law_levels() -> _Levels:
    """The 256 levels of ITU-T G.711 mu-law, as 16-bit samples, by code."""
    code = ~np.arange(256, dtype=np.uint8)
    magnitude = ((((code & 0x0F).astype(np.int32) << 3) + 0x84) << ((code >> 4) & 0x07)) - 0x84
    return np.where(code & 0x80, -magnitude, magnitude).astype(np.int16)


def _a_law_levels() -> _Levels:
    """The 256 levels of ITU-T G.711 A-law, as 16-bit samples, by code."""
    code = np.arange(256, dtype=np.uint8) ^ 0x55
    segment = ((code >> 4) & 0x07).astype(np.int32)
    step = ((code & 0x0F).astype(np.int32) << 4) + 8
    magnitude = np.where(segment == 0, step, (step + 0x100) << np.maximum(segment - 1, 0))
    return np.where(code & 0x80, magnitude, -magnitude).astype(np.int16)


class _G711:
    """Decoding is a look-up; encoding chooses the nearest level."""

    def __init__(self, levels: _Levels) -> None:
        self._levels = levels
        self._codes = np.argsort(levels, kind="stable").astype(np.uint8)
        ordered = levels[self._codes].astype(np.int32)
        self._midpoints = (ordered[:-1] + ordered[1:]) / 2

    def decode(self, codes: bytes) -> FloatArray:
        return pcm16_to_float(self._levels[np.frombuffer(codes, dtype=np.uint8)].astype("<i2").tobytes())

    def encode(self, samples: FloatArray) -> bytes:
        linear = np.frombuffer(float_to_pcm16(samples), dtype="<i2")
        return self._codes[np.searchsorted(self._midpoints, linear)].tobytes()


_LAWS = {Pcmu: _G711(_mu_law_levels()), Pcma: _G711(_a_law_levels())}


class InputStream:
    """What a client appends, as the pipeline wants it: float32 mono, 16 kHz, without seams between the appends."""

    def __init__(self, audio_format: Pcm | Pcmu | Pcma) -> None:
        self.format = audio_format
        self._rate_hz = OUTPUT_RATE_HZ if isinstance(audio_format, Pcm) else G711_RATE_HZ
        self._resampler = StreamResampler(self._rate_hz, INPUT_RATE_HZ)

    def push(self, audio: str) -> Iterator[FloatArray]:
        """Decode one append into pieces of at most `PIECE_S`.

        Raises:
            ProtocolError: not base64, or not whole samples. Nothing of this append is taken then.
        """
        try:
            encoded = base64.b64decode(audio, validate=True)
        except (binascii.Error, ValueError) as error:
            raise ProtocolError(
                "invalid_audio",
                f"'audio' is not base64 ({error}); encode the samples with standard base64",
                param="audio",
            ) from None
        try:
            samples = (
                pcm16_to_float(encoded) if isinstance(self.format, Pcm) else _LAWS[type(self.format)].decode(encoded)
            )
        except AudioFormatError as error:
            raise ProtocolError("invalid_audio", str(error), param="audio") from None
        length = round(self._rate_hz * PIECE_S)
        return (self._convert(samples[start : start + length]) for start in range(0, len(samples), length))

    def flush(self) -> FloatArray:
        """The filter's tail, at the end of a turn that the client ends itself; the next append starts a new stream."""
        tail = self._convert(np.zeros(0, dtype=np.float32), last=True)
        self._resampler = StreamResampler(self._rate_hz, INPUT_RATE_HZ)
        return tail

    def _convert(self, samples: FloatArray, *, last: bool = False) -> FloatArray:
        # A filter answers noise at full scale with more than that: twice as much at worst.
        return np.minimum(np.maximum(self._resampler.push(samples, last=last), -1.0), 1.0)


class OutputStream:
    """One reply's audio, as base64 deltas of at most `DELTA_S`, without seams between the pieces."""

    def __init__(self, audio_format: Pcm | Pcmu | Pcma) -> None:
        self._format = audio_format
        self._rate_hz = OUTPUT_RATE_HZ if isinstance(audio_format, Pcm) else G711_RATE_HZ
        self._resampler = StreamResampler(OUTPUT_RATE_HZ, self._rate_hz)

    def push(self, samples_24k: FloatArray, *, last: bool = False) -> Iterator[str]:
        """Encode float32 mono of shape (samples,), 24 kHz; with `last`, the filter's tail comes out too."""
        samples = self._resampler.push(samples_24k, last=last)
        length = round(self._rate_hz * DELTA_S)
        for start in range(0, len(samples), length):
            piece = samples[start : start + length]
            encoded = (
                float_to_pcm16(piece) if isinstance(self._format, Pcm) else _LAWS[type(self._format)].encode(piece)
            )
            yield base64.b64encode(encoded).decode("ascii")
