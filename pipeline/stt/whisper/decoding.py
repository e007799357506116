"""Greedy decoding, which takes a draft: as far as it is about what the model would have written, it is only checked.

It is speculative decoding (Leviathan et al., 2023, "Fast Inference from Transformers via Speculative Decoding") with a
draft that is a transcript from a second ago: it may have a word wrong in its midst and be right again behind it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.audio import FloatArray
from pipeline.stopping import Stop
from pipeline.stt.whisper.network import Heard, Network

_AT_FIRST = 32
"""Tokens of a draft that are checked at once. If the model wrote otherwise, those behind were read for nothing."""
_AGAIN = 4
"""Where a draft may be right again: twice as many follow if these are right."""
_SHIFT = 8
"""By so many tokens may a word be longer or shorter than the draft has it."""
_AS_LIKELY = 0.2
"""By so much (of its logarithm) may the probability of a draft's token be below the highest: rounding moves them by up
to 0.05, and of two that are about as likely that one is more often right that has been heard before."""
_OVER_AGAIN = 12
"""Tokens as at the beginning of the text, by which it is taken for the same once more."""


@dataclass(frozen=True, slots=True)
class Decoded:
    """What the decoder wrote.

    Attributes:
        tokens: without the end of the text.
        ends: before each token, and after the last: the probability that a sentence ends there.
        log_probability: the mean over the tokens and the end, if the model wrote that.
    """

    tokens: list[int]
    ends: list[float]
    log_probability: float


class _Draft:
    """A text that may follow, and where in it we are."""

    def __init__(self, tokens: Sequence[int]) -> None:
        self._tokens = tokens
        self._place = 0
        self._at_once = _AT_FIRST

    def ahead(self, most: int) -> list[int]:
        """What may follow, `most` tokens of it at most. Nothing where the draft has been left."""
        return list(self._tokens[self._place : self._place + min(self._at_once, most)])

    def follow(self, agreed: int, written: int) -> None:
        """The first `agreed` tokens of `ahead` were right, and then `written` was."""
        expected = self._place + agreed
        near = range(max(0, expected - _SHIFT), min(len(self._tokens), expected + _SHIFT + 1))
        found = [place for place in near if self._tokens[place] == written]
        if not found:
            self._place, self._at_once = expected + 1, 0  # one word for another, until there is a better guess
            return
        place = min(found, key=lambda place: abs(place - expected))
        self._at_once = self._at_once * 2 if place == expected and self._at_once else _AGAIN
        self._place = place + 1


def _starts_over(tokens: Sequence[int]) -> int:
    """Where the text begins once more; 0 if it does not."""
    places = range(1, len(tokens) - _OVER_AGAIN + 1)
    return next((place for place in places if tokens[place : place + _OVER_AGAIN] == tokens[:_OVER_AGAIN]), 0)


class Decoder:
    def __init__(self, network: Network, end_of_text: int) -> None:
        self._network = network
        self._end_of_text = end_of_text

    def write(
        self, heard: Heard, prompt: Sequence[int], draft: Sequence[int], most: int, fastest: int, stop: Stop
    ) -> tuple[Decoded, FloatArray]:
        """Write at most `most` tokens after `prompt`: the same ones, whatever the draft, but where that has one that is
        as likely.

        The model may not notice that the audio is over, and write all of it again. What is written once is right then,
        as good as what a longer window yields. More than `fastest` tokens nobody says in the time.

        Returns what was written, and the log probabilities of the named tokens after the first token of `prompt`:
        float32, shape (names,).

        Raises:
            Stopped: told to stop.
        """
        tokens: list[int] = []
        ends: list[float] = []
        logs: list[float] = []
        follows = _Draft(draft)
        unread, before, memory = list(prompt), 0, None
        named: FloatArray | None = None
        while True:
            ahead = follows.ahead(most - len(tokens))
            begin = len(unread) - 1
            opening = begin if named is None else None
            told, memory = self._network.read([*unread, *ahead], before, memory, heard, stop, opening=opening)
            likeliest = [int(best) for best in told.best[begin:]]
            if named is None:
                named = told.named[0]
            likely, drafted = told.log_probability[begin:], told.given[begin:]
            wrong = (place for place, token in enumerate(ahead) if token != likeliest[place])
            agreed = next((place for place in wrong if drafted[place] < likely[place] - _AS_LIKELY), len(ahead))
            tokens += ahead[:agreed]
            ends += [float(end) for end in told.ends[begin : begin + agreed + 1]]
            logs += [*map(float, drafted[:agreed]), float(likely[agreed])]
            if len(tokens) > fastest and (whole := _starts_over(tokens)):
                return Decoded(tokens[:whole], ends[: whole + 1], float(np.mean(logs[:whole]))), named
            written = likeliest[agreed]
            if written == self._end_of_text or len(tokens) >= most:
                return Decoded(tokens, ends, float(np.mean(logs))), named
            before += len(unread) + agreed
            if agreed < len(ahead):
                memory = self._network.shortened(memory, before)
            follows.follow(agreed, written)
            tokens.append(written)
            unread = [written]
