"""Japanese sounds: Open JTalk reads the text as katakana, and a table spells those for Kokoro.

The spelling is that of misaki's `cutlet` reading, from which Kokoro v1.0 learnt Japanese: no pitch marks, a space
between words, ɯ for a plain u and ɨ for one after s, z, ts or a palatal.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import pyopenjtalk

_ROWS = {
    "アイウエオ": "a i ɯ e o",
    "カキクケコ": "ka kʲi kɯ ke ko",
    "ガギグゲゴ": "ɡa ɡʲi ɡɯ ɡe ɡo",
    "サシスセソ": "sa ɕi sɨ se so",
    "ザジズゼゾ": "ʣa ʥi zɨ ʣe ʣo",
    "タチツテト": "ta ʨi ʦɨ te to",
    "ダヂヅデド": "da ʥi zɨ de do",
    "ナニヌネノ": "na ɲi nɯ ne no",
    "ハヒフヘホ": "ha çi ɸɯ he ho",
    "バビブベボ": "ba bʲi bɯ be bo",
    "パピプペポ": "pa pʲi pɯ pe po",
    "マミムメモ": "ma mʲi mɯ me mo",
    "ヤユヨ": "ja jɯ jo",
    "ラリルレロ": "ɾa ɾʲi ɾɯ ɾe ɾo",
    "ワヰヱヲヮ": "βa i e o βa",
    "ヴヵヶ": "vɯ ka ke",
    "ッー": "ʔ ː",
}
_KANA = {kana: sound for row, sounds in _ROWS.items() for kana, sound in zip(row, sounds.split(), strict=True)}
_SMALL_Y = {"ャ": "a", "ュ": "ɨ", "ョ": "o"}
_SMALL_VOWELS = {"ァ": "a", "ィ": "i", "ゥ": "ɯ", "ェ": "e", "ォ": "o"}
# Before a small vowel these begin otherwise than before their own.
_ONSETS = {"ク": "kᵝ", "グ": "ɡᵝ", "ウ": "β", "イ": "j"}
_PALATAL = ("ʲ", "ɕ", "ʥ", "ʨ", "ɲ", "ç", "j")
_TAKES_PALATAL_I = ("t", "d", "ɸ", "v", "ʦ")

_MARKS = str.maketrans("、，。．！？：；「」『』《》（）〜～・", ",,..!?:;“”“”“”()—— ")

# Capitals alone are an abbreviation, which Open JTalk spells out in Japanese; other Latin words are read as English.
_LATIN_WORDS = re.compile(r"((?=[A-Za-z'’ -]*[a-z])[A-Za-z][A-Za-z'’-]*(?: [A-Za-z][A-Za-z'’-]*)*)")


class JapanesePhonemes:
    """`english` gives the sounds of the Latin words in a text."""

    def __init__(self, english: Callable[[str], str]) -> None:
        self._english = english
        # Its dictionaries are read at their first use, which is now: the second one for characters of several readings.
        pyopenjtalk.run_frontend("何時に来た")

    def __call__(self, text: str) -> str:
        parts = _LATIN_WORDS.split(text)
        return " ".join(self._english(part) if index % 2 else _read(part) for index, part in enumerate(parts))


def _read(text: str) -> str:
    sounds = ""
    for word in pyopenjtalk.run_frontend(text):
        if word["mora_size"]:
            sounds += kana_to_sounds(word["pron"]) + " "
        else:
            mark = word["string"].translate(_MARKS)
            sounds = sounds + mark if mark in "“(" else sounds.rstrip() + mark + " "
    # A held-back consonant belongs to the sound after it.
    return re.sub(r"ʔ (?!$)", "ʔ", sounds).strip()


def kana_to_sounds(katakana: str) -> str:
    """One word's katakana, as it is pronounced (long vowels as ー), in Kokoro's letters; anything else is dropped."""
    sounds: list[str] = []
    previous = ""
    for kana in katakana:
        if kana in _SMALL_Y or kana in _SMALL_VOWELS:
            own_onset = sounds.pop()[:-1] if previous in _KANA else ""
            sounds.append(_join(_ONSETS.get(previous, own_onset), kana))
        elif kana == "ン":
            sounds.append("ɴ")
        elif kana in _KANA:
            sounds.append(_KANA[kana])
        else:
            continue
        previous = kana
    return _place_nasals(sounds)


def _join(onset: str, small: str) -> str:
    palatal = onset.endswith(_PALATAL)
    if small in _SMALL_Y:
        return onset + ("" if palatal else "ʲ" if onset else "j") + _SMALL_Y[small]
    softened = small == "ィ" and onset in _TAKES_PALATAL_I
    return onset + "ʲ" * softened + _SMALL_VOWELS[small]


def _place_nasals(sounds: list[str]) -> str:
    """Pronounce each ン where the sound after it is made."""
    for index in range(len(sounds) - 1):
        if sounds[index] != "ɴ":
            continue
        following = sounds[index + 1][0]
        for nasal, places in (("m", "mpb"), ("ŋ", "kɡ"), ("ɲ", "ɲʨʥ"), ("n", "ntdɾz")):
            if following in places:
                sounds[index] = nasal
    return "".join(sounds)
