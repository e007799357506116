"""Drafts of what a language model will write next, looked up in what it has read and written.

Speculative decoding: a model that reads its weights for every token reads several tokens in little more time than one.
So a draft of the next few is verified in one step; where it is right, the step has written several, and where it is
not, one all the same. The text is the same in any case.
Source: Leviathan et al., Fast Inference from Transformers via Speculative Decoding, 2023; Saxena, Prompt Lookup
Decoding, 2023.
"""

from __future__ import annotations

_LONGEST, _SHORTEST = 3, 1
"""Tokens that are looked up: how a text went on after more of the same tells more."""


def draft(text: list[int], most: int) -> list[int]:
    """At most so many tokens by which `text` may go on: those that came after its last ones, the last time."""
    for length in range(min(_LONGEST, len(text) - 1), _SHORTEST - 1, -1):
        tail = text[-length:]
        for end in range(len(text) - 1, length - 1, -1):
            if text[end - 1] == tail[-1] and text[end - length : end] == tail:
                return text[end : end + most]
    return []
