"""How much silence ends a turn, by what was said and how.

Three witnesses are heard. The recogniser tells how probable it is that the sentence ends after the last word: of what
it knows, the strongest sign in all six languages. Smart Turn listens to the voice alone. The language model, where it
can tell, reads what was said, and knows of language what the recogniser does not. Their log-odds are added, the latter
two with weights; the more the sum speaks for an end, the less silence it takes. `docs/turn-taking.md` shows how the
weights and the waits were found.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from pipeline.profiles import TurnProfile
from pipeline.turns import Silence

_SURE = 0.997
"""No witness is believed to be surer than this, or less sure than 1 minus this."""


@dataclass(frozen=True, slots=True)
class Statements:
    """What the witnesses have said of a silence so far.

    Attributes:
        ends: the probability that the sentence ends after the last word; None where the recogniser cannot tell.
        completeness: what Smart Turn answered in this silence, each time it was asked.
        reads: whether the language model is a witness.
        sentence: the probability, by the language model, that what was said is a finished sentence; None while it has
            not told.
    """

    ends: float | None
    completeness: Sequence[float] = ()
    reads: bool = False
    sentence: float | None = None


def log_odds(probability: float) -> float:
    within = min(max(probability, 1 - _SURE), _SURE)
    return math.log(within / (1 - within))


def evidence(settings: TurnProfile, told: Statements) -> float:
    """The log-odds that the turn is over."""
    voice = sum(map(log_odds, told.completeness)) / len(told.completeness) if told.completeness else 0.0
    weight = settings.voice_weight_of_three if told.reads else settings.voice_weight
    # Without a word of the recogniser, Smart Turn stands in its place.
    sure = voice if told.ends is None else log_odds(told.ends) + weight * voice
    if told.sentence is not None:
        sure += settings.sentence_weight * (log_odds(told.sentence) - settings.sentence_centre)
    return sure


def wait_s(settings: TurnProfile, told: Statements) -> float:
    """The silence after which the turn is over, in seconds, by the same `evidence`."""
    sure = evidence(settings, told)
    waits = settings.waits_of_three if told.reads else settings.waits
    return next((silence_s for least, silence_s in waits if sure >= least), settings.longest_wait_s)


def is_open(settings: TurnProfile, told: Statements) -> bool:
    """Whether it takes the language model's word to tell how much silence ends the turn. It is asked only then: the
    model is at the reply meanwhile, which would come later."""
    return told.reads and wait_s(settings, replace(told, sentence=0.0)) != wait_s(settings, replace(told, sentence=1.0))


def is_over(settings: TurnProfile, silence: Silence, needed_s: float) -> bool:
    """Whether the turn is over after this silence, if it takes `needed_s` of it.

    Nothing is decided in a frame that stirs: callers who go on just then would be cut off with their first syllable. In
    a room that never is quiet it is decided all the same, as soon as it would be known of speech that it is speech.
    """
    patience_s = settings.longest_wait_s + settings.onset_s if silence.stirs else 0.0
    return silence.silence_s >= max(needed_s, patience_s)
