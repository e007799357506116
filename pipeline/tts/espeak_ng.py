"""espeak-ng, the C library: the one place that touches it.

Its voice, its clause and its callback are global state of the process, so there is one `EspeakNG` a process
(`espeak_ng()`), and one lock around every call. The interface is that of espeak-ng 1.52's `speak_lib.h`.
"""

from __future__ import annotations

import ctypes
import functools
import threading
from typing import Any

import numpy as np

from pipeline.audio import FloatArray

_AUDIO_OUTPUT_SYNCHRONOUS = 2
_INITIALIZE_DONT_EXIT = 0x8000
_CHARS_UTF8 = 1
_RATE_PARAMETER = 1
_NORMAL_WORDS_A_MINUTE = 175

TIE = "^"
"""Joins the letters of one sound in `phonemes`: the diphthong of "now" is `a^ʊ`."""
_PHONEMES_AS_TIED_IPA = 0x02 | 0x80 | ord(TIE) << 8

_SynthCallback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)


class EspeakError(RuntimeError):
    """espeak-ng could not be loaded, or refused a voice."""


class EspeakNG:
    """Use `espeak_ng()`; a second instance in one process would share, and spoil, the first one's state."""

    def __init__(self) -> None:
        try:
            import espeakng_loader
        except ImportError:
            raise EspeakError("espeak-ng is not installed; `pip install 's2s-gate[server]'` brings it") from None

        self._lock = threading.Lock()
        self._library: Any = ctypes.CDLL(espeakng_loader.get_library_path())
        self._library.espeak_TextToPhonemes.restype = ctypes.c_char_p
        data_path = espeakng_loader.get_data_path()
        self.rate_hz: int = self._library.espeak_Initialize(
            _AUDIO_OUTPUT_SYNCHRONOUS, 0, data_path.encode(), _INITIALIZE_DONT_EXIT
        )
        if self.rate_hz <= 0:
            raise EspeakError(
                f"espeak-ng cannot read its data in {data_path} (code {self.rate_hz}); it takes no path longer "
                "than 160 bytes: install into a shorter one, or reinstall `espeakng-loader`"
            )
        self._spoken: list[FloatArray] = []
        # Kept as an attribute: the library holds only a bare pointer to it.
        self._callback = _SynthCallback(self._take)
        self._library.espeak_SetSynthCallback(self._callback)

    def phonemes(self, text: str, voice: str) -> str:
        """IPA with stress marks, one sound's letters joined by `TIE`; espeak-ng drops the punctuation.

        Raises:
            EspeakError: no such voice.
        """
        with self._lock:
            self._choose(voice)
            remaining = ctypes.c_char_p(_encode(text))
            pointer = ctypes.pointer(remaining)
            clauses = []
            while remaining.value:
                clause = self._library.espeak_TextToPhonemes(pointer, _CHARS_UTF8, _PHONEMES_AS_TIED_IPA)
                clauses.append(clause.decode())
        return " ".join(filter(None, clauses))

    def speech(self, text: str, voice: str, speed: float) -> FloatArray:
        """`text` spoken: float32 mono, shape (samples,), at `rate_hz`. A sentence takes some ten milliseconds.

        Raises:
            EspeakError: no such voice.
        """
        encoded = _encode(text) + b"\0"
        with self._lock:
            self._choose(voice)
            self._library.espeak_SetParameter(_RATE_PARAMETER, round(_NORMAL_WORDS_A_MINUTE * speed), 0)
            self._spoken = []
            self._library.espeak_Synth(encoded, len(encoded), 0, 0, 0, _CHARS_UTF8, None, None)
            pieces, self._spoken = self._spoken, []
        return np.concatenate(pieces) if pieces else np.zeros(0, np.float32)

    def _choose(self, voice: str) -> None:
        if self._library.espeak_SetVoiceByName(voice.encode()):
            raise EspeakError(f"espeak-ng has no voice {voice!r}; name one of its languages, such as `en-us` or `ko`")

    def _take(self, samples: Any, count: int, events: Any) -> int:
        if count > 0:
            self._spoken.append(np.ctypeslib.as_array(samples, (count,)).astype(np.float32) / np.float32(32_768))
        return 0


def _encode(text: str) -> bytes:
    # A NUL would end the C string; a lone surrogate has no UTF-8.
    return text.replace("\0", " ").encode("utf-8", "replace")


_loading = threading.Lock()
_loaded = functools.cache(EspeakNG)


def espeak_ng() -> EspeakNG:
    """The process's espeak-ng, loaded at the first call.

    Raises:
        EspeakError: it is not installed, or its data cannot be read.
    """
    with _loading:
        return _loaded()
