"""What of a written text is to be said aloud."""

from __future__ import annotations

import re

from pipeline.abbreviations import ABBREVIATIONS
from pipeline.languages import Language

_CODE_BLOCK = re.compile(r"```.*?(?:```|\Z)", re.DOTALL)
_LINK = re.compile(r"!?\[([^\]\n]*)\]\([^)\s]*\)")
_URL = re.compile(r"(?:https?://|www\.)[!-~]+?(?=[.,;:!?)\]\"']*(?:[^!-~]|\Z))")
_BULLET = re.compile(r"^\s*(?:[-*+•]|#{1,6}|>+)\s+", re.MULTILINE)
_MARKUP = re.compile(r"[*_`~|#<>\\{}\[\]]+")
_EMOJI = re.compile(
    "[\U0001f000-\U0001faff\U000e0000-\U000e007f\u2190-\u21ff\u2300-\u27bf\u2900-\u297f\u2b00-\u2bff\ufe00-\ufe0f\u200d\u20e3]+"
)


def speakable(text: str, language: Language) -> str:
    """`text` on one line without markup, code, links and emoji, abbreviations written out; empty if no word is left."""
    text = _CODE_BLOCK.sub(" ", text)
    text = _LINK.sub(r"\1", text)
    text = _URL.sub(" ", text)
    text = _BULLET.sub("", text)
    text = _EMOJI.sub(" ", _MARKUP.sub(" ", text))
    for abbreviation, words in ABBREVIATIONS[language].items():
        text = re.sub(rf"(?<!\w){re.escape(abbreviation)}(?!\w)", words, text)
    text = " ".join(text.split())
    return text if any(letter.isalnum() for letter in text) else ""
