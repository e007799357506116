"""Of a text, what a language model reads to tell whether its last words end a sentence."""

from __future__ import annotations

SENTENCE_ENDS = (".", "?", "!", "。", "？", "！")
MOST_READ = 32
"""Characters, some six words: of more, telling whether the sentence has ended is less sure and takes longer."""


def is_end(token: str) -> bool:
    """Whether a token is a mark that ends a sentence."""
    return token.strip().startswith(SENTENCE_ENDS)


def without_end(text: str) -> str:
    """The last words of a text, `MOST_READ` characters at most, from a whole word on where there are spaces, without
    what is written behind the last of them."""
    end = len(text)
    while end and not text[end - 1].isalnum():
        end -= 1
    if end <= MOST_READ:
        return text[:end].lstrip()
    before, last = text[end - MOST_READ - 1], text[end - MOST_READ : end]
    _, _, whole = f"{before}{last}".partition(" ")
    return whole.lstrip() or last
