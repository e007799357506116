"""Text to the sounds Kokoro speaks, in its five languages."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection

from pipeline.languages import Language
from pipeline.tts.phonemes.latin import LatinPhonemes
from pipeline.tts.phonemes.vocabulary import VOCABULARY

LANGUAGES = (Language.EN, Language.FR, Language.ES, Language.ZH, Language.JA)


class Phonemizer:
    """Loads the dictionaries of `languages` at once (one or two seconds), so that no first sentence waits for them.

    May be called from several threads.
    """

    def __init__(self, languages: Collection[Language] = LANGUAGES) -> None:
        english = LatinPhonemes(Language.EN)
        self._readers: dict[Language, Callable[[str], str]] = {Language.EN: english}
        for language in languages:
            if language in (Language.FR, Language.ES):
                self._readers[language] = LatinPhonemes(language)
            elif language is Language.ZH:
                from pipeline.tts.phonemes.chinese import ChinesePhonemes

                self._readers[language] = ChinesePhonemes(english)
            elif language is Language.JA:
                from pipeline.tts.phonemes.japanese import JapanesePhonemes

                self._readers[language] = JapanesePhonemes(english)

    def __call__(self, text: str, language: Language) -> str:
        """The sounds and punctuation of `text`, of letters of `VOCABULARY` only; empty where there is nothing to say.

        Raises:
            KeyError: a language it was not made for.
        """
        sounds = self._readers[language](text)
        known = "".join(letter for letter in sounds if letter in VOCABULARY)
        known = re.sub(r" +(?=[;:,.!?…”)])|(?<=[“(]) +", "", known)
        return re.sub(r" +", " ", known).strip()
