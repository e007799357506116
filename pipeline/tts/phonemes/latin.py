"""English, French and Spanish sounds: espeak-ng's IPA, spelt as Kokoro was taught it."""

from __future__ import annotations

import re

from pipeline.languages import Language
from pipeline.tts.espeak_ng import TIE, espeak_ng

_VOICES = {Language.EN: "en-us", Language.FR: "fr", Language.ES: "es"}

# A mark counts at the end of a word only: "3.14" and "10:30" are espeak-ng's to read.
_PUNCTUATION = re.compile(r'([;:,.!?…]+(?=\W|$)|[—"“”«»()])')
_QUOTES = str.maketrans("«»", "“”", "¿¡")
_LANGUAGE_SWITCH = re.compile(r"\([a-z^-]+\)")
_SYLLABIC = "\u0329"

# Kokoro writes a diphthong or an affricate as one letter; longer spellings first.
_ONE_LETTER = {
    "a^ɪ": "I",
    "a^ʊ": "W",
    "d^z": "ʣ",
    "d^ʒ": "ʤ",
    "e^ɪ": "A",
    "o^ʊ": "O",
    "ə^ʊ": "Q",
    "s^s": "S",
    "t^s": "ʦ",
    "t^ʃ": "ʧ",
    "ɔ^ɪ": "Y",
}
# American English was taught from a dictionary of its own: no length marks, flaps as T, one letter for the r-vowels.
_AMERICAN = {
    "ʔˌn" + _SYLLABIC: "tᵊn",
    "ʔn" + _SYLLABIC: "tᵊn",
    "ə^l": "ᵊl",
    "e": "A",
    "ʲ": "",
    "ɚ": "əɹ",
    "r": "ɹ",
    "x": "k",
    "ç": "k",
    "ɬ": "l",
    "\u0303": "",
    "ɜːɹ": "ɜɹ",
    "ɜː": "ɜɹ",
    "ɪə": "iə",
    "ː": "",
    "o": "ɔ",
    "ɾ": "T",
    "ʔ": "t",
}


class LatinPhonemes:
    """One of `en`, `fr`, `es`."""

    def __init__(self, language: Language) -> None:
        self._voice = _VOICES[language]
        self._american = language is Language.EN
        self._espeak = espeak_ng()

    def __call__(self, text: str) -> str:
        parts = _PUNCTUATION.split(text.translate(_QUOTES).replace("’", "'"))
        # The even parts are words, the odd ones marks.
        return "".join(part if index % 2 else self._words(part) for index, part in enumerate(parts))

    def _words(self, text: str) -> str:
        words = text.strip()
        if not words:
            return text
        sounds = _LANGUAGE_SWITCH.sub("", self._espeak.phonemes(words, self._voice))
        for letters, letter in _ONE_LETTER.items():
            sounds = sounds.replace(letters, letter)
        if self._american:
            sounds = _to_american(sounds)
        sounds = sounds.replace(TIE, "").replace("-", "")
        return " " * text[0].isspace() + sounds + " " * text[-1].isspace()


def _to_american(sounds: str) -> str:
    for letters, replacement in _AMERICAN.items():
        sounds = sounds.replace(letters, replacement)
    sounds = re.sub(rf"(\S){_SYLLABIC}", r"ᵊ\1", sounds)
    # The article keeps its own letter; within a word it is the common schwa.
    return re.sub(r"ɐ(?=\w\w)|(?<=\w)ɐ", "ə", sounds)
