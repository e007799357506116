"""Chinese text to words, by jieba."""

from __future__ import annotations

import functools
import logging
import tempfile

import jieba


@functools.cache
def chinese_words() -> jieba.Tokenizer:
    """The one tokenizer of the process; its dictionary takes a second to load."""
    words = jieba.Tokenizer()
    # jieba leaves a pickle of its dictionary in a folder anyone may write to, and loads what it finds there;
    # in a folder of its own that is harmless.
    jieba.setLogLevel(logging.ERROR)
    with tempfile.TemporaryDirectory() as folder:
        words.tmp_dir = folder
        words.initialize()
    return words
