"""What of a text is said aloud."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.languages import Language
from pipeline.tts.speakable import speakable


@pytest.mark.parametrize(
    ("language", "text", "said"),
    [
        (Language.EN, "**Bold** and `code`,\n  _so_", "Bold and code , so"),
        (Language.EN, "# Title\n- one\n* two", "Title one two"),
        (Language.EN, "Hi 😀 there 👩‍👩‍👧!", "Hi there !"),
        (Language.EN, "See [the site](https://a.example/b?c=d).", "See the site."),
        (Language.EN, "See https://a.example/b?c=d.", "See ."),
        (Language.EN, "Like this: ```print(1)``` done", "Like this: done"),
        (Language.EN, "Ask Dr. Who, e.g. today", "Ask Doctor Who, for example today"),
        (Language.FR, "M. Dupont", "Monsieur Dupont"),
        (Language.ES, "El Sr. López", "El Señor López"),
        (Language.ZH, "**你好**，世界！🎉", "你好 ，世界！"),
        (Language.JA, "「はい」。", "「はい」。"),
        (Language.KO, "네, 좋아요 🙂", "네, 좋아요"),
        (Language.EN, "...", ""),
        (Language.EN, "🎉 —", ""),
        (Language.ZH, "。！", ""),
    ],
)
def test_what_is_said(language: Language, text: str, said: str) -> None:
    assert speakable(text, language) == said


@given(text=st.text(max_size=200), language=st.sampled_from(Language))
def test_one_line_or_nothing(text: str, language: Language) -> None:
    said = speakable(text, language)
    assert said == " ".join(said.split())
    assert not said or any(letter.isalnum() for letter in said)
