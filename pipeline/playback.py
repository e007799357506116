"""The caller's loudspeaker, as it is guessed from here: it plays what was sent, in order, from the moment it came."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pipeline.languages import TRAITS, Language

_ROUNDING_S = 0.001


@dataclass(slots=True)
class Clause:
    """`made_s` is how long its audio is, as far as it has been made; it may be sent much later."""

    text: str
    made_s: float = 0.0


@dataclass(frozen=True, slots=True)
class _Sent:
    clause: Clause
    begin_s: float


class Playback:
    """One reply. Times are seconds on `now`, lengths seconds of the reply's audio."""

    def __init__(self, language: Language, now: Callable[[], float]) -> None:
        self._language = language
        self._now = now
        self._clauses: list[_Sent] = []
        self._sent_s = 0.0
        self._ends_at_s = 0.0

    @property
    def ahead_s(self) -> float:
        """How much of what was sent has not been played yet."""
        return max(0.0, self._ends_at_s - self._now())

    @property
    def played_s(self) -> float:
        return self._sent_s - self.ahead_s

    @property
    def text(self) -> str:
        """All that was sent."""
        return "".join(sent.clause.text for sent in self._clauses)

    def begin(self, clause: Clause) -> None:
        """What is sent from now on is of this clause."""
        self._clauses.append(_Sent(clause, self._sent_s))

    def sent(self, length_s: float) -> float:
        """So much was sent just now; returns when it begins to be played."""
        begins_at_s = max(self._ends_at_s, self._now())
        self._ends_at_s = begins_at_s + length_s
        self._sent_s += length_s
        return begins_at_s

    def take_back(self, length_s: float, clauses: int) -> None:
        """So much of the end, with the texts of so many clauses, was not sent after all."""
        self._sent_s -= length_s
        self._ends_at_s -= length_s
        del self._clauses[len(self._clauses) - clauses :]

    def heard(self) -> str:
        """The text of what has been played: whole clauses, and of the last one the words that fit the time."""
        played_s = self.played_s
        parts = (
            heard_of(sent.clause.text, sent.clause.made_s, played_s - sent.begin_s, self._language)
            for sent in self._clauses
        )
        return "".join(parts).rstrip()


def heard_of(text: str, length_s: float, heard_s: float, language: Language) -> str:
    """Of a clause whose audio is so long, the words that fit the time for which it was heard."""
    if heard_s >= length_s - _ROUNDING_S:
        return text
    share = heard_s / length_s
    if share <= 0:
        return ""
    words = list(text) if TRAITS[language].joins_words else text.split(" ")
    kept = words[: int(share * len(words))]
    return ("" if TRAITS[language].joins_words else " ").join(kept)
