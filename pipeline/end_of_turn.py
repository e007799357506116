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

from pipeline.profiles import TurnProfile

_SURE = 0.997
"""No witness is believed to be surer than this, or less sure than 1 minus this."""


def log_odds(probability: float) -> float:
    within = min(max(probability, 1 - _SURE), _SURE)
    return math.log(within / (1 - within))


def evidence(
    settings: TurnProfile, ends: float | None, completeness: Sequence[float], sentence: float | None = None
) -> float:
    """The log-odds that the turn is over.

    Args:
        settings: of the profile.
        ends: the probability that the sentence ends after the last word; None where the recogniser cannot tell.
        completeness: what Smart Turn answered in this silence, each time it was asked.
        sentence: the probability that what was said is a finished sentence; None while the language model has not told,
            or where it cannot.
    """
    voice = sum(map(log_odds, completeness)) / len(completeness) if completeness else 0.0
    # Without a word of the recogniser, Smart Turn stands in its place.
    sure = voice if ends is None else log_odds(ends) + settings.voice_weight * voice
    if sentence is not None:
        sure += settings.sentence_weight * (log_odds(sentence) - settings.sentence_centre)
    return sure


def wait_s(
    settings: TurnProfile, ends: float | None, completeness: Sequence[float], sentence: float | None = None
) -> float:
    """The silence after which the turn is over, in seconds, by the same `evidence`."""
    sure = evidence(settings, ends, completeness, sentence)
    return next((silence_s for least, silence_s in settings.waits if sure >= least), settings.longest_wait_s)
