"""espeak-ng's Korean, and the library behind it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from pipeline.audio import OUTPUT_RATE_HZ
from pipeline.languages import Language
from pipeline.stopping import Stop
from pipeline.tts.espeak import Espeak
from pipeline.tts.espeak_ng import EspeakError, espeak_ng
from pipeline.tts.mastering import true_peak


def test_korean_can_be_played() -> None:
    speech = np.concatenate(
        list(Espeak().speak("정말 감사합니다, 내일 봐요.", Language.KO, "espeak-ko", speed=1.0, stop=Stop()))
    )
    assert np.all(np.isfinite(speech))
    assert true_peak(speech) < 10 ** (-1 / 20)
    assert 1.0 < speech.size / OUTPUT_RATE_HZ < 5.0
    assert np.flatnonzero(np.abs(speech) > 0.01)[0] < 0.06 * OUTPUT_RATE_HZ
    assert max(abs(speech[0]), abs(speech[-1])) < 1e-3


def test_nothing_to_say_is_silent() -> None:
    assert list(Espeak().speak("…!", Language.KO, "espeak-ko", speed=1.0, stop=Stop())) == []


def test_another_voice_is_refused_with_the_choice() -> None:
    with pytest.raises(ValueError, match="voice espeak-ko"):
        next(iter(Espeak().speak("네.", Language.KO, "af_heart", speed=1.0, stop=Stop())))


def test_an_unknown_espeak_voice_is_refused() -> None:
    with pytest.raises(EspeakError, match="no voice 'xx-none'"):
        espeak_ng().phonemes("hello", "xx-none")


def test_threads_do_not_disturb_each_other() -> None:
    espeak = espeak_ng()
    alone = {voice: espeak.phonemes("taxi", voice) for voice in ("en-us", "fr", "es")}
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda voice: (voice, espeak.phonemes("taxi", voice)), [*alone] * 50))
    assert all(alone[voice] == sounds for voice, sounds in together)
