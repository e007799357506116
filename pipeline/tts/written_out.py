"""Numbers, signs and addresses as the words that are said for them, wherever an engine would not read them so.

espeak-ng, cn2an and Open JTalk read plain numbers, decimals and thousands in their languages; those are left to them.
"""

from __future__ import annotations

import re

from pipeline.languages import Language
from pipeline.tts.sign_words import (
    ENGLISH_DECADES,
    FRENCH_ORDINALS,
    KOREAN_HOURS,
    SIGN_WORDS,
    SignWords,
)

_LATIN = (Language.EN, Language.FR, Language.ES)
_N = r"(?<![\d.,])\d+(?:[.,]\d+)*"

_URL = re.compile(
    r"(?:https?://(?:www\.)?|www\.)(?P<host>[\w.-]*\w)(?:[:/?#][!-~]*?)?(?=[.,;:!?)\]\"'*_]*(?:[^!-~]|\Z))", re.A
)
_EMAIL = re.compile(r"(?<![\w.+-])[\w.+-]+@\w[\w-]*(?:\.\w[\w-]*)+", re.A)
_DOTTED = re.compile(r"(?<![\w./@-])[\w-]{2,}(?:\.[\w-]+)*\.[a-z][a-z0-9]{1,4}(?![\w@-]|\.\w)", re.A)
_DAY = r"0?[1-9]|[12]\d|3[01]"
_ISO_DATE = re.compile(rf"(?<![\d/.-])(?P<y>[12]\d{{3}})([-/.])(?P<m>0?[1-9]|1[0-2])\2(?P<d>{_DAY})(?![\d/-]|\.\d)")
_SHORT_DATE = re.compile(rf"(?<![\d/.-])(?P<a>{_DAY})([-/.])(?P<b>{_DAY})\2(?P<y>[12]\d{{3}})(?![\d/-]|\.\d)")
_TIME = re.compile(
    r"(?<![\d:.,])(?P<h>[01]?\d|2[0-4]):(?P<m>[0-5]\d)(?P<s>:[0-5]\d)?(?![\d:]|[.,]\d)(?: ?h(?![^\W\d_]))?"
    r"(?=(?P<half> ?[AaPp]\.?[Mm]\b| ?[AP] M\b)?)"
)
_FRENCH_TIME = re.compile(r"(?<![\w.,])(?P<h>[01]?\d|2[0-4]) ?[hH] ?(?P<m>[0-5]\d)?(?!\w)")
_PHONE = re.compile(
    r"(?<![\w.,/-])(?:\+\d{1,3}(?:[ -]\d{1,4}){2,}|\d{2,4}(?:-\d{3,4}){2,}|(?!\d+0-\d+0\b)\d{3}-\d{4}|\d{10,})"
    r"(?![\w/-]|[.,]\d)",
    re.A,
)
_SPACED = re.compile(r"(?<![\d+.,] )(?<![\w+.,])\d{1,2}(?: \d{3})+(?![\w]| \d)", re.A)
_GROUPED = re.compile(r"(?<![\w.,])\d{1,3}(?:,\d{3}){2,}(?![\w,])", re.A)
_ENGLISH_YEAR = re.compile(r"(?<![\w.,/$€£¥₩+-])(1[1-9])(\d\d)(s?)(?![\w%/]|[.,]\d| ?[°$€£¥₩]|[-–]\d)", re.A)
_ROMAN = re.compile(r"(?<![\w.-])(X{0,2}(?:IX|IV|V?I{0,3}))(?P<ordinal>e|ème)?(?![\w.-]*\w)")
_FRENCH_ORDINAL = re.compile(r"(?<![\w.,])(\d{1,2})(?:e|ème|eme)(?!\w)")
_SPANISH_ORDINAL = re.compile(r"(?<![\w.,])(\d{1,2})\.?(?P<end>[ºª]|er(?!\w))")
_SPANISH_SHORT = {"1": "primer", "3": "tercer"}
_FRACTION = re.compile(r"(?<![\w.,/])(?:(?P<whole>\d+) )?(?P<over>\d{1,2})/(?P<under>\d{1,3})(?![\w/]|[.,]\d)", re.A)
_RANGE = re.compile(rf"(?<!\w)(?<!\w-)({_N}) ?(%|°[CF]?)? ?[-–—~〜～] ?(?=[$€£¥₩]?({_N})(?![\d-]| ?=))", re.A)
_SUBTRACTION = re.compile(r"(?<=\d) ?[-−–] ?(?=\d+(?:[.,]\d+)* ?=)|(?<=[\w)]) − (?=\w)")
_MINUS = re.compile(r"(?<![\w)\]])[-−](?=\d)", re.A)
_MAGNITUDE = {
    Language.EN: r" ?(?:thousand|million|billion|trillion)\b|[kKMB]\b|bn\b",
    Language.FR: r" (?:mille|millions?|milliards?)\b",
    Language.ES: r" (?:mil|millón|millones)\b",
    Language.ZH: "[千万亿]+",
    Language.JA: "[千万億兆]+",
    Language.KO: "[천만억조]+",
}
_LETTER_MAGNITUDES = {"k": "thousand", "K": "thousand", "M": "million", "B": "billion", "bn": "billion"}
_PARTITIVE = {language: "de " if language in (Language.FR, Language.ES) else "" for language in Language}
_NUMBER_SIGN = re.compile(r"(?<!\w)(?:#|[Nn]\.?[º°] ?|No\. )(?=\d)", re.A)
_SIGNS = "+×÷=<>≤≥≠≈±√"
_MATHS = re.compile(rf"(?:(?<=[\w)²³])|(?<=\s)) ?(?P<sign>[{_SIGNS}]) ?(?=[\w(√-])|√(?=[\w(])")
_TIMES = re.compile(r"(?<=\d) ?[*x] ?(?=\d)|(?<=\d)x(?= [a-zà-ÿ])")
_AND = re.compile(r"(?<=\w) ?& ?(?=\w)")
_BETWEEN_WORDS = re.compile(r"(?<=[^\W\d_])/(?=[^\W\d_])")
_SHARP = re.compile(r"(?<!\w)([A-G])#(?!\w)")
_KOREAN_COUNTED = re.compile(r"(?<![\d.,])(\d{1,2}) ?(?=시(?!스)|명|개(?!월)|살|마리|잔|권|번째|가지|달)")


class WrittenOut:
    """Writes out the numbers and signs of one language's texts."""

    def __init__(self, language: Language) -> None:
        self._language = language
        self._words: SignWords = SIGN_WORDS[language]
        marks = re.escape("".join(self._words.currencies))
        magnitude = _MAGNITUDE[language]
        to = re.escape(self._words.to)
        self._currency_first = re.compile(rf"(?P<sign>[{marks}]) ?(?P<n>{_N}(?:{to}{_N})?)(?P<size>{magnitude})?")
        self._currency_last = re.compile(rf"(?P<n>{_N})(?P<size>{magnitude})? ?(?P<sign>[{marks}])")
        units = "|".join(map(re.escape, sorted(self._words.units, key=len, reverse=True)))
        self._unit = re.compile(
            rf"(?<![A-Za-z\d.,])(?P<n>\d+(?:[.,]\d+)*) ?(?P<unit>{units})(?![A-Za-z0-9²³/])(?<!\ds)"
        )  # "the 90s"

    def __call__(self, text: str) -> str:
        words = self._words
        text = _URL.sub(lambda url: self._dotted(url["host"]), text)
        text = _EMAIL.sub(lambda email: self._dotted(email[0]), text)
        text = _DOTTED.sub(lambda name: self._dotted(name[0]), text)
        text = _ISO_DATE.sub(lambda date: self._date(date["y"], date["m"], date["d"]), text)
        text = _SHORT_DATE.sub(self._short_date, text)
        text = _TIME.sub(self._time, text)
        text = _PHONE.sub(lambda phone: ", ".join(" ".join(group) for group in re.findall(r"\d+", phone[0])), text)
        text = _SPACED.sub(lambda number: number[0].replace(" ", ""), text)
        text = _GROUPED.sub(lambda number: number[0].replace(",", ""), text)
        text = self._of_one_language(text)
        text = _NUMBER_SIGN.sub(f"{words.number} ".lstrip(), text)
        text = _FRACTION.sub(self._fraction, text)
        text = _SUBTRACTION.sub(f" {words.signs['−']} ", text)
        text = _RANGE.sub(lambda found: f"{found[1]}{found[2] or ''}{words.to}", text)
        text = _MINUS.sub(words.minus + words.space, text)
        text = self._currency_first.sub(self._currency, text)
        text = self._currency_last.sub(self._currency, text)
        text = self._unit.sub(self._measure, text)
        text = _BETWEEN_WORDS.sub(" ", text)
        text = _TIMES.sub(f" {words.signs['×']} ", text)
        text = _MATHS.sub(lambda found: f" {words.signs[found['sign'] or '√']} ", text)
        return _AND.sub(f" {words.signs['&']} ", text)

    def _dotted(self, name: str) -> str:
        """An address, a host or a file by its name."""
        return name.replace("@", f" {self._words.at} ").replace(".", f" {self._words.dot} ").replace("_", " ")

    def _date(self, year: str, month: str, day: str) -> str:
        first = self._language is Language.FR and int(day) == 1
        return self._words.date.format(
            year=year, month=self._words.months[int(month) - 1], day="1er" if first else int(day)
        )

    def _short_date(self, date: re.Match[str]) -> str:
        day, month = int(date["a"]), int(date["b"])
        if month > 12 or (self._language is Language.EN and day <= 12):
            day, month = month, day
        return date[0] if month > 12 else self._date(date["y"], str(month), str(day))

    def _time(self, time: re.Match[str]) -> str:
        if time["s"]:
            return time[0].replace(":", " ")
        hour, minute = str(int(time["h"])), time["m"]
        if minute == "00":
            return hour if time["half"] else self._words.full_hour.format(hour=hour)
        if self._language is Language.EN and minute[0] == "0":
            return f"{hour} oh {minute[1]}"
        return self._words.clock.format(hour=hour, minute=int(minute))

    def _of_one_language(self, text: str) -> str:
        if self._language is Language.EN:
            text = _SHARP.sub(r"\1 sharp", _ENGLISH_YEAR.sub(_english_year, text))
        elif self._language is Language.FR:
            text = _FRENCH_TIME.sub(lambda time: f"{time['h']} heures {time['m'] or ''}".rstrip(), text)
            text = _FRENCH_ORDINAL.sub(lambda number: _french_ordinal(int(number[1])) or number[0], text)
        elif self._language is Language.ES:
            text = _SPANISH_ORDINAL.sub(_spanish_ordinal, text)
        elif self._language is Language.KO:
            text = _KOREAN_COUNTED.sub(_korean_counted, text)
        return _ROMAN.sub(self._roman, text) if self._language in _LATIN else text

    def _roman(self, numeral: re.Match[str]) -> str:
        number = _from_roman(numeral[1])
        if numeral["ordinal"]:
            return (_french_ordinal(number) if self._language is Language.FR else "") or numeral[0]
        # "I" is a pronoun, and "V" and "X" are letters.
        return str(number) if len(numeral[1]) > 1 else numeral[0]

    def _fraction(self, found: re.Match[str]) -> str:
        words = self._words
        over, under = found["over"], found["under"]
        known = words.fractions.get(f"{over}/{under}")
        said = known or words.fraction.format(over=over, under=under)
        whole = found["whole"]
        return said if whole is None else f"{whole} {words.signs['&']} {said}" if known else f"{whole} {said}"

    def _currency(self, price: re.Match[str]) -> str:
        one, many = self._words.currencies[price["sign"]]
        space = self._words.space
        number, size = price["n"], (price["size"] or "").strip()
        if size:
            of = _PARTITIVE[self._language] if size.startswith(("milli", "milló")) else ""
            said = f"{number}{space}{_LETTER_MAGNITUDES.get(size, size)}{space}{of}{many}"
            return said.replace("de euros", "d'euros") if self._language is Language.FR else said
        cents = re.fullmatch(r"(\d+(?:[.,]\d{3})*)[.,](\d\d)", number) if self._language in _LATIN else None
        whole = cents[1] if cents else number
        name = one if whole == "1" else many
        return f"{whole}{space}{name}" + (f" {int(cents[2])}" if cents and cents[2] != "00" else "")

    def _measure(self, found: re.Match[str]) -> str:
        return f"{found['n']}{self._words.space}{self._words.units[found['unit']][found['n'] != '1']}"


def _english_year(year: re.Match[str]) -> str:
    century, rest, decade = year.groups()
    if rest == "00":
        return f"{century} hundred{decade}"
    if decade:
        return f"{century} {ENGLISH_DECADES[rest[0]]}" if rest[1] == "0" and rest[0] != "1" else year[0]
    return f"{century} oh {rest[1]}" if rest[0] == "0" else f"{century} {rest}"


def _french_ordinal(number: int) -> str:
    return FRENCH_ORDINALS[number - 2] if 2 <= number <= 20 else "vingt et unième" if number == 21 else ""


def _spanish_ordinal(number: re.Match[str]) -> str:
    if number["end"] == "er":
        return _SPANISH_SHORT.get(number[1], number[0])
    return number[1] + number["end"]  # espeak-ng reads it without the point


def _korean_counted(number: re.Match[str]) -> str:
    value = int(number[1])
    return f"{KOREAN_HOURS[value - 1]} " if 1 <= value <= len(KOREAN_HOURS) else number[0]


def _from_roman(numeral: str) -> int:
    values = ["XVI".index(letter) for letter in numeral]
    sizes = [(10, 5, 1)[value] for value in values]
    return sum(-size if size < max(sizes[at:]) else size for at, size in enumerate(sizes))
