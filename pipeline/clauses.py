"""Where a growing reply may be cut for speaking, in all six scripts.

The first clause is short, so that sound starts early; each later one may be longer, because the one before it is heard
while it is made. Sizes are in letters, as a measure of the time it takes to say them; a Chinese, Japanese or Korean
character counts as much as two and a half.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from pipeline.abbreviations import ABBREVIATIONS
from pipeline.breath import Gap, chinese_gaps, gap_before, japanese_gap
from pipeline.languages import Language


@dataclass(frozen=True, slots=True)
class _Stage:
    """The sizes from which a clause ends: at a sentence's end, at a lesser mark, before a phrase, before any word.

    Where no mark ends it, `rest` must follow, so that no word or two are left alone for the next.
    """

    sentence: float
    clause: float
    phrase: float
    longest: float
    rest: float


_STAGES = (
    _Stage(2, 8, 7, 20, 6),
    _Stage(10, 20, 36, 54, 12),
    _Stage(15, 40, 60, 90, 20),
    _Stage(20, 60, 120, 150, 20),
)
"""Of the first clause, the second, the third, and all that follow. Synthesis is a few times as fast as speech, so a
clause of twice the length of the one before it is ready when that one has been heard."""

_HURRIED = _Stage(2, 2, 5, 8, 2)
"""Of one that is wanted now, complete or not: two or three words."""

_FIRST_CHINESE = replace(_STAGES[0], longest=16)
"""A Chinese character takes longer to say than its size, which matters at the start of a reply."""

_WRITTEN_TOGETHER = (Language.ZH, Language.JA)

_CJK_SIZE = 2.5
_LOOK_AGAIN = 10 * _CJK_SIZE

_MOST_CHARACTERS = 1_000
"""Of a clause that is not code, whatever it is made of. No sentence of anybody's comes near; but a text may be one word
without an end, or have no letter at all."""


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A gap before `text[at]`, with the size of what is before it."""

    at: int
    size: float
    fit: Gap


_SENTENCE_MARKS = ".!?…。！？｡\n"
_CLAUSE_MARKS = ",;:—、，；：､"
_MARKS = re.escape(_SENTENCE_MARKS + _CLAUSE_MARKS)
_CLOSING = re.escape("\"'”’»)]}」』）》】〉")
# French sets its closing guillemet apart with a space. Bounded, for a text may be nothing but marks.
_END = re.compile(rf"[{_MARKS}][{_MARKS}{_CLOSING}]{{0,100}}(?:\s{{0,9}}»)?\s{{0,100}}")
_CJK = re.compile("[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7a3々ー]")
_WORD = re.compile(r"\S+")
_FENCE = "```"
# Never cut inside: a block of code, code in a line, a link; each with what may become one.
_WHOLE = (
    (re.compile(r"```.*?```\s*", re.DOTALL), re.compile(r"`{1,2}\Z|```.*\Z", re.DOTALL)),
    (re.compile(r"`[^`\n]{1,200}`"), re.compile(r"`[^`\n]{0,200}\Z")),
    (
        re.compile(r"\[[^\]\n]{0,200}\]\([^)\n]{0,400}\)"),
        re.compile(r"\[[^\]\n]{0,200}(?:\](?:\([^)\n]{0,400})?)?\Z"),
    ),
)
_INITIAL = re.compile(r"(?:^|\W)([^\W\d_])$")
_ITEM_NUMBER = re.compile(r"(?:^|\n)\s*\d{1,2}$")


class ClauseSplitter:
    """Cuts the stream of one reply.

    What comes out, joined, is exactly what went in, and the cuts do not depend on how it came in pieces, unless there
    is a hurry.
    """

    def __init__(self, language: Language) -> None:
        self._language = language
        # "p. ex." has a full stop at its end and one in the middle; neither ends a sentence, nor does that of "p.ex.".
        self._abbreviations = tuple(
            written[: stop.end()]
            for abbreviation in ABBREVIATIONS[language]
            for written in {abbreviation, abbreviation.replace(" ", "")}
            for stop in re.finditer(r"\.", written)
        )
        self._text = ""
        self._cuts = 0

    def push(self, text: str) -> list[str]:
        """Take in the next piece of the reply; returns the clauses that are certain to be complete, often none."""
        self._text += text
        return self._take(ended=False)

    @property
    def has_words(self) -> bool:
        """Whether `hurry` would return any."""
        return self._next_cut(_HURRIED, ended=False) > 0

    def hurry(self) -> str:
        """What there is of a clause that cannot be waited for: a few words that go together, or none."""
        cut = self._next_cut(_HURRIED, ended=False)
        words, self._text = self._text[:cut], self._text[cut:]
        return words

    def finish(self) -> list[str]:
        """The reply is over: returns what is left of it."""
        clauses = self._take(ended=True)
        rest, self._text = self._text, ""
        return [*clauses, rest] if rest else clauses

    def _take(self, *, ended: bool) -> list[str]:
        clauses = []
        while cut := self._next_cut(self._stage(), ended=ended):
            clauses.append(self._text[:cut])
            self._text = self._text[cut:]
            # Of a block of code nothing is heard.
            self._cuts += _FENCE not in clauses[-1]
        return clauses

    def _stage(self) -> _Stage:
        if self._cuts == 0 and self._language is Language.ZH:
            return _FIRST_CHINESE
        return _STAGES[min(self._cuts, len(_STAGES) - 1)]

    def _next_cut(self, stage: _Stage, *, ended: bool) -> int:
        """Where the clause at the front of the text ends; 0 if that is not certain yet.

        Reads from left to right and never decides on more than it has passed, whence the same cuts for any pieces.
        """
        text = self._text
        size = 0.0
        word_start = 0
        in_word = False
        look_from = stage.phrase
        lesser_cut = 0  # after the last mark that came too early to be used
        gaps: list[_Candidate] = []
        at = 0
        while at < len(text):
            if at >= _MOST_CHARACTERS:
                return at
            whole = self._whole_end(at, ended=ended)
            if whole == len(text) and not ended:
                return 0
            if whole and text.startswith(_FENCE, at):
                return at if text[:at].strip() else whole
            if not whole and (end := _END.match(text, at)):
                if end.end() == len(text) and not ended:
                    return 0
                if self._is_end(end):
                    strong = any(mark in _SENTENCE_MARKS for mark in end[0])
                    if size >= (stage.sentence if strong else stage.clause):
                        return end.end()
                    if size:
                        lesser_cut, gaps, look_from = end.end(), [], stage.phrase
                    in_word = False
                at = end.end()
                word_start = at if not in_word else word_start
                continue
            letter = text[at]
            cjk = _CJK.match(letter) is not None
            if cjk or whole or letter.isalnum():
                if size >= look_from and (cut := self._best_cut(stage, size, lesser_cut, gaps, at)):
                    return cut
                if self._language is Language.ZH and size >= max(look_from, stage.longest + stage.rest):
                    # Where no cut was found, to find the words anew at every character would take too long.
                    look_from = size + _LOOK_AGAIN
                if (cjk or not in_word) and size >= stage.phrase:
                    start = at if cjk and self._language in _WRITTEN_TOGETHER else word_start
                    gap = self._gap(start, ended=ended)
                    if gap is None:
                        return 0
                    if gap is not Gap.NONE:
                        gaps.append(_Candidate(start, size, gap))
                letters = text[at : whole or at + 1]
                size += sum(_CJK_SIZE if _CJK.match(one) else one.isalnum() for one in letters)
                in_word = not cjk
            if letter.isspace():
                in_word = False
                word_start = at + 1
            at = whole or at + 1
        return 0

    def _whole_end(self, at: int, *, ended: bool) -> int:
        """Where the code or the link at `at` ends, as far as it came; 0 if there is none."""
        if self._text[at] not in "`[":
            return 0
        for whole, unfinished in _WHOLE:
            if found := whole.match(self._text, at):
                return found.end()
            if not ended and unfinished.match(self._text, at):
                return len(self._text)
        return len(self._text) if self._text.startswith(_FENCE, at) else 0

    def _gap(self, at: int, *, ended: bool) -> Gap | None:
        """How well a breath fits before `text[at]`; None if that is not certain yet."""
        text = self._text
        if self._language is Language.ZH:
            return Gap.WORD  # until the words are known
        if self._language is Language.JA:
            return japanese_gap(text, at) if at else Gap.NONE
        word = _WORD.match(text, at)
        if word is None or not text[at - 1 : at].isspace():
            return Gap.NONE
        if word.end() == len(text) and not ended:
            return None
        return gap_before(text, at, word[0], self._language)

    def _best_cut(self, stage: _Stage, size: float, lesser_cut: int, gaps: list[_Candidate], at: int) -> int:
        """Where to cut, now that `size` has been passed before `at` and no mark ends the clause; 0 if it can wait."""
        if lesser_cut:
            return lesser_cut if size >= stage.phrase + stage.rest else 0
        overdue = size >= stage.longest + stage.rest
        gaps = [gap for gap in gaps if size - gap.size >= stage.rest]
        if self._language is Language.ZH:
            fits = chinese_gaps(self._text[:at]) if overdue and gaps else {}
            gaps = [_Candidate(gap.at, gap.size, fits[gap.at]) for gap in gaps if gap.at in fits]
        phrases = [gap for gap in gaps if gap.fit is Gap.PHRASE]
        if not overdue:
            return phrases[0].at if phrases else 0
        for some in (phrases, gaps):
            near = [gap.at for gap in some if stage.longest / 2 <= gap.size <= stage.longest]
            if near:
                return near[-1]
        if gaps:
            return gaps[0].at
        endless = size >= 2 * stage.longest + stage.rest
        return at if endless and (_CJK.match(self._text[at]) or self._text[at - 1].isspace()) else 0

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
