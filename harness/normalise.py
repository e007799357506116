"""What counts as the same words: one normaliser a language, each of them idempotent.

English, French and Spanish by whisper-normalizer; Chinese by OpenCC (to simplified) and cn2an; Japanese by jaconv;
Korean by NFKC alone. The change of a rule is a new `VERSION`, because figures across it cannot be compared.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from functools import cache

VERSION = 1

_NUMBER_SIGNS = frozenset("%$€£¢")
"""Kept, because whisper-normalizer writes them beside numbers."""

_LONE_POINT = re.compile(r"(?<!\d)\.|\.(?!\d)")
_CHINESE_NUMERAL = re.compile("[零〇一二两三四五六七八九十百千万亿]{2,}")
_CHINESE_DIGITS = "零一二三四五六七八九"
_LONE_DIGIT = re.compile(r"(?<![\d.])[0-9](?![\d.])")

_PASSES = 20
"""More than any text is known to need until it no longer changes."""


def normalise(text: str, language: str) -> str:
    """The text as it is compared, in a language given by its code; an unknown code gets NFKC and no punctuation.

    Chinese and Japanese come without spaces; Korean keeps its spaces, for those who count words.
    """
    step = _step(language)
    for _ in range(_PASSES):
        before, text = text, step(text)
        if text == before:
            break
    return text


@cache
def _step(language: str) -> Callable[[str], str]:
    """One pass. Imported when first wanted: the English tables take a while to load."""
    if language == "en":
        from whisper_normalizer.english import EnglishTextNormalizer

        return _then_plain(EnglishTextNormalizer())
    if language == "fr":
        from whisper_normalizer.international import FrenchTextNormalizer

        return _then_plain(FrenchTextNormalizer())
    if language == "es":
        from whisper_normalizer.international import SpanishTextNormalizer

        return _then_plain(SpanishTextNormalizer())
    if language == "zh":
        import opencc

        simplify: Callable[[str], str] = opencc.OpenCC("t2s").convert
        return lambda text: _chinese_numerals(simplify(_joined(_plain(text))))
    if language == "ja":
        import jaconv

        return lambda text: _joined(_plain(jaconv.normalize(text, "NFKC")))
    return _plain


def _then_plain(normaliser: Callable[[str], str]) -> Callable[[str], str]:
    return lambda text: _plain(normaliser(unicodedata.normalize("NFKC", text)))


def _plain(text: str) -> str:
    """NFKC, lower case, no punctuation, single spaces. Accents and voicing marks stay: ガ is not カ."""
    letters = (" " if _is_mark(letter) else letter for letter in unicodedata.normalize("NFKC", text).lower())
    return " ".join(_LONE_POINT.sub(" ", "".join(letters)).split())


def _is_mark(letter: str) -> bool:
    """Punctuation or a symbol, but for the point of a decimal and the signs of numbers."""
    return unicodedata.category(letter)[0] in "PS" and letter != "." and letter not in _NUMBER_SIGNS


def _joined(text: str) -> str:
    return text.replace(" ", "")


def _chinese_numerals(text: str) -> str:
    """Numerals of two characters and more become digits, digits that stand alone become characters.

    So 三十五 is 35 and 5个 is 五个, while the 一 of 一般 and the 十 of 十分 are left alone.
    """
    text = _CHINESE_NUMERAL.sub(_chinese_numeral, text)
    return _LONE_DIGIT.sub(lambda match: _CHINESE_DIGITS[int(match[0])], text)


def _chinese_numeral(match: re.Match[str]) -> str:
    import cn2an

    numeral = match[0]
    if not re.search("[十百千万亿]", numeral):
        # Read digit by digit, like a year; two alone are more often 三四 (three or four) than 34.
        spelt = numeral.replace("〇", "零").replace("两", "二")
        read = "".join(str(_CHINESE_DIGITS.index(digit)) for digit in spelt)
        return read if len(numeral) > 2 or "零" in spelt else numeral
    try:
        return str(cn2an.cn2an(numeral, "normal"))
    except (ValueError, KeyError):  # 千万 and 万一 are words, and cn2an has no other way to say so
        return numeral
