"""Mandarin sounds: words by jieba, pinyin by pypinyin, spelt for Kokoro by misaki."""

from __future__ import annotations

import re
from collections.abc import Callable

import cn2an
from misaki.zh import ZHG2P
from pypinyin import Style, lazy_pinyin

from pipeline.chinese_words import chinese_words

_MARKS = str.maketrans("、，。．！？：；「」『』《》（）～・·", ",,..!?:;“”“”“”()—  ")
_PARTS = re.compile(
    r"(?P<han>[\u4e00-\u9fff]+)|(?P<latin>[A-Za-z][A-Za-z'’ -]*)|(?P<digits>\d+)|(?P<other>.)", re.DOTALL
)
_TWO_OF = re.compile(
    "(?<![一二三四五六七八九十百千万亿零点第])二(?=[个位只条张件台辆种杯次天年周岁本万千]|小时|分钟)(?!年级)"
)
_DIGITS = str.maketrans("0123456789", "零一二三四五六七八九")


class ChinesePhonemes:
    """`english` gives the sounds of the Latin words in a text."""

    def __init__(self, english: Callable[[str], str]) -> None:
        self._english = english
        self._words = chinese_words()
        _han_to_sounds("好")

    def __call__(self, text: str) -> str:
        sounds = ""
        for part in _PARTS.finditer(_numbers_to_han(text).translate(_MARKS)):
            if part["han"]:
                sounds += " ".join(map(_han_to_sounds, self._words.lcut(part["han"])))
            elif part["latin"]:
                sounds = f"{sounds.rstrip()} {self._english(part['latin'])} "
            elif part["digits"]:
                sounds += _han_to_sounds(part["digits"].translate(_DIGITS))
            else:
                mark = part["other"]
                sounds += mark + " " if mark in ",.!?:;”)" else mark
        return sounds


def _numbers_to_han(text: str) -> str:
    text = re.sub(r"(?<=\d),(?=\d{3})", "", text)
    # Beyond 16 digits a number has no name.
    text = re.sub(r"\d{17,}", lambda digits: digits[0].translate(_DIGITS), text)
    converted: str = cn2an.transform(text, "an2cn")
    # Two of a thing are 两, in 2个 as well, but not in 12个 or 第2个.
    return _TWO_OF.sub("两", converted)


def _han_to_sounds(word: str) -> str:
    # A character without a reading comes back as it is; it has no sound.
    syllables = lazy_pinyin(word, style=Style.TONE3, neutral_tone_with_five=True, errors="ignore")
    return "".join(map(ZHG2P.py2ipa, syllables)).replace("\u032f", "")
