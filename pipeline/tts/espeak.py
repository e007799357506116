"""Korean through espeak-ng: a formant synthesiser, robotic but understandable, and instant."""

from __future__ import annotations

from collections.abc import Iterator

import soxr

from pipeline.audio import OUTPUT_RATE_HZ, FloatArray
from pipeline.languages import Language
from pipeline.stopping import Stop
from pipeline.tts.espeak_ng import espeak_ng
from pipeline.tts.mastering import master, pause_after
from pipeline.tts.speakable import speakable

_VOICES: dict[Language, tuple[str, ...]] = {Language.KO: ("espeak-ko",)}
_ESPEAK_VOICE = "ko"
_GAIN = 10 ** (-3.5 / 20)  # to -23 LUFS, as Kokoro's voices


class Espeak:
    """Satisfies `pipeline.tts.base.TextToSpeech`."""

    voices = _VOICES

    def __init__(self) -> None:
        self._espeak = espeak_ng()

    def speak(self, text: str, language: Language, voice: str, *, speed: float, stop: Stop) -> Iterator[FloatArray]:
        """As in `TextToSpeech`. A clause takes some ten milliseconds, too few to be stopped in.

        Raises:
            ValueError: another language than Korean, or another voice than `espeak-ko`.
        """
        if voice not in self.voices.get(language, ()):
            raise ValueError(f"no voice {voice!r} in {language!s}: espeak-ng speaks ko here, with the voice espeak-ko")
        said = speakable(text, language)
        if said:
            speech = self._espeak.speech(said, _ESPEAK_VOICE, speed)
            samples_24k = soxr.resample(speech, self._espeak.rate_hz, OUTPUT_RATE_HZ)
            yield from master([samples_24k], gain=_GAIN, pause_s=pause_after(said))
