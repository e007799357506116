"""Korean sounds: Hangul by the rules of standard pronunciation, spelt for Kokoro, which was never taught Korean.

The rules are those of the National Institute of Korean Language's standard pronunciation that hold within a word:
finals reduced or carried over to the next syllable, aspiration, nasals, liquids, tensing.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

# In the order in which Unicode composes syllables of them.
_ONSETS = "ㄱㄲㄴㄷㄸㄹㅁㅂㅃㅅㅆㅇㅈㅉㅊㅋㅌㅍㅎ"
_ONSETS_SAID = "k k n t t ɾ m p p s s - ʨ ʨ ʨʰ kʰ tʰ pʰ h"
_VOWELS_SAID = "a ɛ ja jɛ ʌ e jʌ je o wa wɛ we jo u wʌ we wi ju ɯ ɯi i"
_CODAS_WRITTEN = (
    "- ㄱ ㄲ ㄱㅅ ㄴ ㄴㅈ ㄴㅎ ㄷ ㄹ ㄹㄱ ㄹㅁ ㄹㅂ ㄹㅅ ㄹㅌ ㄹㅍ ㄹㅎ ㅁ ㅂ ㅂㅅ ㅅ ㅆ ㅇ ㅈ ㅊ ㅋ ㅌ ㅍ ㅎ"
)

_ONSET_SOUNDS = dict(zip(_ONSETS, _ONSETS_SAID.replace("-", "").split(" "), strict=True))
_VOWEL_SOUNDS = _VOWELS_SAID.split(" ")
_UI = _VOWEL_SOUNDS.index("ɯi")
_CODAS = _CODAS_WRITTEN.replace("-", "").split(" ")
_VOICED = {"ㄱ": "ɡ", "ㄷ": "d", "ㅂ": "b", "ㅈ": "ʥ"}
_CODA_SOUNDS = {"": "", "ㄱ": "k", "ㄴ": "n", "ㄷ": "t", "ㄹ": "l", "ㅁ": "m", "ㅂ": "p", "ㅇ": "ŋ"}

_ASPIRATED = {"ㄱ": "ㅋ", "ㄷ": "ㅌ", "ㅂ": "ㅍ", "ㅈ": "ㅊ"}
_AFTER_H = _ASPIRATED | {"ㅅ": "ㅆ"}
_TENSE = {"ㄱ": "ㄲ", "ㄷ": "ㄸ", "ㅂ": "ㅃ", "ㅅ": "ㅆ", "ㅈ": "ㅉ"}
_STOP = {**dict.fromkeys("ㄲㅋ", "ㄱ"), **dict.fromkeys("ㅅㅆㅈㅊㅌㅎ", "ㄷ"), "ㅍ": "ㅂ"}
_NASAL = {"ㄱ": "ㅇ", "ㄷ": "ㄴ", "ㅂ": "ㅁ"}

_PARTS = re.compile(
    r"(?P<hangul>[가-힣]+)|(?P<number>[0-9]+(?:,[0-9]{3})*)|(?P<latin>[A-Za-z][A-Za-z'’ -]*)|(?P<other>.)", re.DOTALL
)
_DIGITS = "영일이삼사오육칠팔구"


@dataclass(slots=True)
class _Syllable:
    onset: str
    vowel: int
    coda: str


class KoreanPhonemes:
    """`english` gives the sounds of the Latin words in a text."""

    def __init__(self, english: Callable[[str], str]) -> None:
        self._english = english

    def __call__(self, text: str) -> str:
        # A number and the word it counts are said as one.
        spelt = _PARTS.sub(lambda part: _number_to_hangul(part[0]) if part["number"] else part[0], text)
        sounds = ""
        for part in _PARTS.finditer(spelt):
            if part["hangul"]:
                sounds += _hangul_to_sounds(part[0])
            else:
                sounds += f" {self._english(part[0])} " if part["latin"] else part[0]
        return sounds


def _hangul_to_sounds(word: str) -> str:
    syllables = [_syllable(letter) for letter in word]
    for left, right in pairwise(syllables):
        _join(left, right)
    syllables[-1].coda = _reduced(syllables[-1].coda)
    if word[-1] == "의" and len(word) > 1:
        syllables[-1].vowel = _VOWEL_SOUNDS.index("e")  # the particle
    sounds = ""
    for syllable in syllables:
        vowel = _VOWEL_SOUNDS[syllable.vowel]
        if syllable.vowel == _UI and (sounds or syllable.onset != "ㅇ"):
            vowel = "i"
        onset = _ONSET_SOUNDS[syllable.onset]
        if syllable.onset in "ㅅㅆ" and vowel[0] in "ij":
            onset = "ɕ"
        elif syllable.onset == "ㄹ" and sounds.endswith("l"):
            onset = "l"
        elif sounds and sounds[-1] not in "ktp":
            onset = _VOICED.get(syllable.onset, onset)
        sounds += onset + vowel + _CODA_SOUNDS[syllable.coda]
    return sounds


def _syllable(letter: str) -> _Syllable:
    """A precomposed syllable's parts, by Unicode's arithmetic (section 3.12 of the standard)."""
    onset, rest = divmod(ord(letter) - ord("가"), 21 * 28)
    return _Syllable(_ONSETS[onset], rest // 28, _CODAS[rest % 28])


def _reduced(coda: str) -> str:
    """What is heard of a final that no vowel follows: one of seven sounds."""
    heard = coda[-1:] if coda in ("ㄹㄱ", "ㄹㅁ", "ㄹㅍ") else coda[:1]
    return _STOP.get(heard, heard)


def _join(left: _Syllable, right: _Syllable) -> None:
    """Change the final of `left` and the initial of `right` as they are said together."""
    coda, onset = left.coda, right.onset
    if coda.endswith("ㅎ"):
        coda = coda[:-1]
        if onset in _AFTER_H:
            left.coda, right.onset = _reduced(coda), _AFTER_H[onset]
            return
        if onset == "ㄴ" and not coda:
            coda = "ㄴ"
    if onset == "ㅇ" and coda not in ("", "ㅇ"):
        left.coda, right.onset = _reduced(coda[:-1]), _carried(coda, right.vowel)
        return
    if onset == "ㅎ" and _STOP.get(coda[-1:], coda[-1:]) in _ASPIRATED:
        last = coda[-1]
        left.coda, right.onset = _reduced(coda[:-1]), _ASPIRATED.get(last) or _ASPIRATED[_STOP[last]]
        return
    if coda == "ㄹㄱ" and onset == "ㄱ":
        left.coda, right.onset = "ㄹ", "ㄲ"
        return
    left.coda = heard = _reduced(coda)
    if heard in _NASAL:
        if onset in "ㄴㄹㅁ":
            left.coda, right.onset = _NASAL[heard], "ㄴ" if onset == "ㄹ" else onset
        else:
            right.onset = _TENSE.get(onset, onset)
    elif (heard, onset) in (("ㄹ", "ㄴ"), ("ㄴ", "ㄹ")):
        left.coda = right.onset = "ㄹ"
    elif heard in ("ㅁ", "ㅇ") and onset == "ㄹ":
        right.onset = "ㄴ"
    elif coda in ("ㄹㅂ", "ㄹㅌ", "ㄴㅈ"):
        right.onset = _TENSE.get(onset, onset)


def _carried(coda: str, vowel: int) -> str:
    """The consonant that a following vowel takes over from a final."""
    last = coda[-1]
    if _VOWEL_SOUNDS[vowel] == "i" and last in "ㄷㅌ":
        return "ㅈ" if last == "ㄷ" else "ㅊ"
    return "ㅆ" if len(coda) == 2 and last == "ㅅ" else last


def _number_to_hangul(number: str) -> str:
    """Sino-Korean: 1,234 is 천이백삼십사. Beyond 16 digits, digit by digit."""
    digits = number.replace(",", "")
    if len(digits) > 16 or (digits.startswith("0") and len(digits) > 1):
        return "".join(_DIGITS[int(digit)] for digit in digits)
    groups = [digits[max(0, end - 4) : end] for end in range(len(digits), 0, -4)]
    words = [_group_to_hangul(group, unit) for group, unit in zip(groups, ("", "만", "억", "조"), strict=False)]
    return "".join(reversed(words)) or _DIGITS[0]


def _group_to_hangul(group: str, unit: str) -> str:
    """Up to four digits and what they count; a one before ten, a hundred, a thousand or ten thousand is not said."""
    if int(group) == 1 and unit == "만":
        return unit
    places = ("", "십", "백", "천")
    words = [
        ("" if digit == "1" and place else _DIGITS[int(digit)]) + place
        for digit, place in zip(group, reversed(places[: len(group)]), strict=True)
        if digit != "0"
    ]
    return "".join(words) + unit if words else ""
