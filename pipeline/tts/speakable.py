"""What of a written text is to be said aloud."""

from __future__ import annotations

import html
import re
import unicodedata
from functools import cache

from pipeline.abbreviations import ABBREVIATIONS, abbreviation_pattern
from pipeline.languages import Language
from pipeline.tts.written_out import WrittenOut

_CODE_BLOCK = re.compile(r"```.*?(?:```|\Z)", re.DOTALL)
_AUTOLINK = re.compile(r"<((?:https?://|[\w.+-]+@)[^<>\s]+)>")
_LINE_BREAK = re.compile(r"<br ?/?>|</(?:p|li|h\d|tr)>", re.IGNORECASE)
_TAG = re.compile(r"<!--.*?-->|</?[A-Za-z][^<>\n]*>", re.DOTALL)
_LINK = re.compile(r"!?\[([^\]\n]*)\]\([^)\n]*\)")
_NOTE = re.compile(r"\[\^?\d+\]")
# A line of a table, a rule under a heading or between paragraphs.
_RULE = re.compile(r"^[ \t]*[-*_=|:+ \t]{3,}$", re.MULTILINE)
_TABLE_EDGE = re.compile(r"^[ \t]*\||\|[ \t]*$", re.MULTILINE)
_CELLS = re.compile(r"(?<=[^\s|]) *\| *(?=[^\s|])")
_BULLET = re.compile(r"^[^\S\n]*(?:(?:[-*+•]|#{1,6}|>+)\s+)+(?:\[[ xX]\]\s)?", re.MULTILINE)
# What stands alone before a sentence: "[laughs] Well ..." or "*sighs* I see"; and the Japanese laugh in brackets.
_ASIDE = re.compile(
    r"(?:\A|(?<=[.!?…。！？\n]))\s*(?:\[[^\W\d][^\]\n]{0,40}\]|\*[a-zà-ÿ][^*\n]{0,40}\*)(?=\s+(?![a-zà-ÿ])|\s*\Z)"
    r"|[(（]笑[)）]"
)
_ARROW = re.compile("[-=]+>|<[-=]+")
_FACE = re.compile(
    r"(?<![\w:/])[:;=][-o']?[()DPp/|](?![\w/])|(?<!\S)(?:<3|[xX]D|[oO]rz)(?!\S)|\^[_.\-o]?\^|¯\\?_\([^)\n]*\)_/¯"
    r"|[(（](?=[^()（）\n]*[\^＾▽∀◕‿ω●□╯≧≦´｀▿ᴗ])[^()（）\w\s]*[^()（）\s]{0,3}[^()（）\w\s]*[)）]"
    r"|[(（]([\w><\-^;])_+[\w><\-^;][)）]"
)
# Full-width and half-width letters, digits and signs, and units in one character; not the punctuation of Chinese.
_WIDE = re.compile("[＃-＇＊＋／０-９＜-＞＠-Ｚ＼＾-ｚ｜ｦ-ﾟ￠-￦㌀-㏿ﬀ-ﬆ]+|℃|℉")
_WIDE_IN_NUMBER = re.compile("(?<=[0-9])[．：，](?=[0-9])")
_VULGAR = re.compile("(?<=\\d)(?=[¼-¾⅐-⅞])|[¼-¾⅐-⅞]")
_SIGNS_OF_MEANING = frozenset("～$€£¥₩+=°`~^|<>×÷≤≥≠≈±√−")
_MARKUP = r"*_`~^|#\\{}\[\]<>×÷≤≥≠≈±√−"
_IN_WORD = re.compile(rf"(?<=[A-Za-z0-9])[{_MARKUP}]+(?=[A-Za-z0-9])")
_REPEATED = re.compile(r"([!?！？…,;:、，])\1+|(\.)\.{3,}")
_LINE_END = re.compile(r"(?<=[\w)）\]”\"'`*])[ \t]*\n\s*")


def speakable(text: str, language: Language) -> str:
    """`text` on one line without markup, code and emoji; numbers, signs and abbreviations as they are said.

    Empty if no word is left. Of a link the text is said, of a bare address its host.
    """
    text = html.unescape(unicodedata.normalize("NFC", text))
    text = "".join(letter for letter in text if letter.isspace() or unicodedata.category(letter) not in ("Cc", "Cf"))
    text = _CODE_BLOCK.sub("\n", text)
    text = _LINK.sub(r"\1", _AUTOLINK.sub(r"\1", text))
    text = _TAG.sub(" ", _LINE_BREAK.sub("\n", _NOTE.sub("", text)))
    text = _BULLET.sub("", _CELLS.sub(", ", _TABLE_EDGE.sub("", _RULE.sub("", text))))
    text = _ARROW.sub(" ", _FACE.sub(" ", _ASIDE.sub(" ", text)))
    text = "".join(letter if _has_meaning(letter) else " " for letter in _fold_widths(text))
    text = " ".join(_LINE_END.sub("。 " if language in (Language.ZH, Language.JA) else ". ", text).split())
    for pattern, words in _abbreviations(language):
        text = pattern.sub(words, text)
    text = _written_out(language)(text)
    text = re.sub(rf"[{_MARKUP}]+", "", _IN_WORD.sub(" ", text))
    text = " ".join(_REPEATED.sub(lambda run: run[1] or "...", text).split())
    return text if any(letter.isalnum() for letter in text) else ""


def _fold_widths(text: str) -> str:
    text = _VULGAR.sub(lambda vulgar: unicodedata.normalize("NFKC", vulgar[0]).replace("⁄", "/") or " ", text)
    text = _WIDE.sub(lambda wide: unicodedata.normalize("NFKC", wide[0]), text)
    return _WIDE_IN_NUMBER.sub(lambda mark: unicodedata.normalize("NFKC", mark[0]), text)


def _has_meaning(letter: str) -> bool:
    """Not so: emoji with their joiners and selectors, arrows, drawing, private and unassigned characters."""
    if unicodedata.category(letter) in ("Mn", "Mc"):
        return not "\ufe00" <= letter <= "\ufe0f"
    return letter.isspace() or unicodedata.category(letter)[0] in "LNP" or letter in _SIGNS_OF_MEANING


@cache
def _written_out(language: Language) -> WrittenOut:
    return WrittenOut(language)


@cache
def _abbreviations(language: Language) -> tuple[tuple[re.Pattern[str], str], ...]:
    return tuple((abbreviation_pattern(short), words) for short, words in ABBREVIATIONS[language].items())
