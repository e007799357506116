"""Where a growing reply may be cut for speaking, in all six scripts.

The first clause is short, so that sound starts early; each later one may be longer, because the one before it is heard
while it is made. Sizes are in letters, as a measure of the time it takes to say them; a Chinese, Japanese or Korean
character counts as much as two and a half.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from pipeline.abbreviations import ABBREVIATIONS
from pipeline.languages import Language


@dataclass(frozen=True, slots=True)
class _Stage:
    """The sizes from which a clause ends: at a sentence's end, at a lesser mark, before a phrase, before any word."""

    sentence: float
    clause: float
    phrase: float
    longest: float


_STAGES = (_Stage(2, 8, 7, 20), _Stage(10, 20, 30, 40), _Stage(15, 40, 60, 80), _Stage(20, 60, 120, 150))
"""Of the first clause, the second, the third, and all that follow. Synthesis is a few times as fast as speech, so a
clause of twice the length of the one before it is ready when that one has been heard."""

_CJK_SIZE = 2.5


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# A speaker who draws breath draws it before one of these, not behind it.
_PHRASES: dict[Language, frozenset[str]] = {
    Language.EN: _words(
        "about after and are as at because before but by can could for from have if in into is of on or so than that"
        " the then there to until was we were what when where which while who why will with without would you"
    ),
    Language.FR: _words(
        "à au aux avant avec car chez comme dans de depuis des donc du elle en est et il ils je mais nous on ou où"
        " par parce pendant pour puis qu quand que qui sans si sont sous sur tu vers vous"
    ),
    Language.ES: _words(
        "a al ante aunque con como cuando de del desde donde en entre es está están hasta la las los ni o para pero"
        " por porque pues que se si sin sobre son su también y"
    ),
    Language.ZH: frozenset(),
    Language.JA: frozenset(),
    Language.KO: frozenset(),
}

_SENTENCE_MARKS = ".!?…。！？｡\n"
_CLAUSE_MARKS = ",;:—、，；：､"
_MARKS = re.escape(_SENTENCE_MARKS + _CLAUSE_MARKS)
_CLOSING = re.escape("\"'”’»)]}」』）》】〉")
# French sets its closing guillemet apart with a space.
_END = re.compile(rf"[{_MARKS}][{_MARKS}{_CLOSING}]*(?:\s*»)?\s*")
_CJK = re.compile("[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7a3々ー]")
_HIRAGANA = re.compile("[\u3041-\u309f]")
_WORD = re.compile(r"\w+")
_INITIAL = re.compile(r"(?:^|\W)([^\W\d_])$")
_ITEM_NUMBER = re.compile(r"(?:^|\n)\s*\d{1,2}$")


class ClauseSplitter:
    """Cuts the stream of one reply.

    What comes out, joined, is exactly what went in, and the cuts do not depend on how it came in pieces.
    """

    def __init__(self, language: Language) -> None:
        self._language = language
        # "p. ex." has a full stop at its end and one in the middle; neither ends a sentence.
        self._abbreviations = tuple(
            abbreviation[: stop.end()]
            for abbreviation in ABBREVIATIONS[language]
            for stop in re.finditer(r"\.", abbreviation)
        )
        self._text = ""
        self._cuts = 0

    def push(self, text: str) -> list[str]:
        """Take in the next piece of the reply; returns the clauses that are certain to be complete, often none."""
        self._text += text
        return self._take(ended=False)

    def finish(self) -> list[str]:
        """The reply is over: returns what is left of it."""
        clauses = self._take(ended=True)
        rest, self._text = self._text, ""
        return [*clauses, rest] if rest else clauses

    def _take(self, *, ended: bool) -> list[str]:
        clauses = []
        while cut := self._next_cut(ended=ended):
            clauses.append(self._text[:cut])
            self._text = self._text[cut:]
            self._cuts += 1
        return clauses

    def _next_cut(self, *, ended: bool) -> int:
        """Where the clause at the front of the text ends; 0 if that is not certain yet.

        Reads from left to right and never decides on more than it has passed, whence the same cuts for any pieces.
        """
        text = self._text
        stage = _STAGES[min(self._cuts, len(_STAGES) - 1)]
        size = 0.0
        in_word = False
        word_start = 0
        lesser_cut = 0  # after the last mark that came too early to be used
        gap = 0  # before a word, in the second half of the longest clause
        at = 0
        while at < len(text):
            letter = text[at]
            if end := _END.match(text, at):
                if end.end() == len(text) and not ended:
                    return 0
                if self._is_end(end):
                    strong = any(mark in _SENTENCE_MARKS for mark in end[0])
                    if size >= (stage.sentence if strong else stage.clause):
                        return end.end()
                    lesser_cut = end.end() if size else 0
                    in_word = False
                at = end.end()
                word_start = at if not in_word else word_start
                continue
            cjk = _CJK.match(letter) is not None
            if cjk or (letter.isalnum() and not in_word):
                start = at if cjk else word_start
                if _is_gap(text, start) and size >= stage.longest / 2:
                    gap = start
                if size >= stage.longest:
                    return lesser_cut or gap or start
                if size >= stage.phrase and not cjk:
                    word = _WORD.match(text, at)
                    if word is None or (word.end() == len(text) and not ended):
                        return 0
                    if word[0].lower() in _PHRASES[self._language]:
                        return lesser_cut or start
                in_word = not cjk
            if cjk or letter.isalnum():
                size += _CJK_SIZE if cjk else 1
            if cjk or letter.isspace():
                in_word = False
                word_start = at + 1
            at += 1
        return 0

    def _is_end(self, end: re.Match[str]) -> bool:
        """Whether the marks found end anything: those in "3.14", "10:30", "www.site.com" and "Mr. Smith" do not."""
        text, start = end.string, end.start()
        mark, before, after = text[start], text[max(0, start - 1) : start], text[end.end() : end.end() + 1]
        parted = end[0][-1].isspace() or not after
        if not parted and before.isdigit() and after.isdigit():
            return False
        if not mark.isascii():
            return True
        if not parted and (before.isdigit() or not _CJK.match(after)):
            return False
        return end[0].rstrip() != "." or not self._is_abbreviated(text[:start])

    def _is_abbreviated(self, before: str) -> bool:
        """Whether a full stop after `before` belongs to an abbreviation, an initial or the number of a list's item."""
        if _ITEM_NUMBER.search(before):
            return True
        initial = _INITIAL.search(before)
        if initial and initial[1].isupper() and not (initial[1] == "I" and self._language is Language.EN):
            return True
        written = before + "."
        return any(
            written.endswith(abbreviation) and not written[: -len(abbreviation)][-1:].isalnum()
            for abbreviation in self._abbreviations
        )


def _is_gap(text: str, at: int) -> bool:
    """Whether a speaker could draw breath before `text[at]`, where no mark says so."""
    before = text[at - 1 : at]
    if before.isspace() or before in ("·", "・"):
        return True
    # A Japanese phrase begins with a kanji or katakana and ends with hiragana.
    return bool(_HIRAGANA.match(before)) and not _HIRAGANA.match(text[at])
