"""How much silence ends a turn, by what was said and how.

Two witnesses are heard. The recogniser tells how probable it is that the sentence ends after the last word: of what it
knows, the strongest sign in all six languages. Smart Turn listens to the voice alone. Their log-odds are added, the
latter with a weight; the more the sum speaks for an end, the less silence it takes. `docs/turn-taking.md` shows how the
weight and the waits were found.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from pipeline.profiles import TurnProfile
from pipeline.turns import Silence

_SURE = 0.997
"""No witness is believed to be surer than this, or less sure than 1 minus this."""


def log_odds(probability: float) -> float:
    within = min(max(probability, 1 - _SURE), _SURE)
    return math.log(within / (1 - within))


def evidence(settings: TurnProfile, ends: float | None, completeness: Sequence[float]) -> float:
    """The log-odds that the turn is over.

    Args:
        settings: of the profile.
        ends: the probability that the sentence ends after the last word; None where the recogniser cannot tell.
        completeness: what Smart Turn answered in this silence, each time it was asked.
    """
    voice = sum(map(log_odds, completeness)) / len(completeness) if completeness else 0.0
    # Without a word of the recogniser, Smart Turn stands alone.
    return voice if ends is None else log_odds(ends) + settings.voice_weight * voice


def wait_s(settings: TurnProfile, ends: float | None, completeness: Sequence[float]) -> float:
    """The silence after which the turn is over, in seconds, by the same `evidence`."""
    sure = evidence(settings, ends, completeness)
    return next((silence_s for least, silence_s in settings.waits if sure >= least), settings.longest_wait_s)


def is_over(settings: TurnProfile, silence: Silence, needed_s: float) -> bool:
    """Whether the turn is over after this silence, if it takes `needed_s` of it.

    Nothing is decided in a frame that stirs: callers who go on just then would be cut off with their first syllable. In
    a room that never is quiet it is decided all the same, as soon as it would be known of speech that it is speech.
    """
    patience_s = settings.longest_wait_s + settings.onset_s if silence.stirs else 0.0
    return silence.silence_s >= max(needed_s, patience_s)
