"""What people say to show that they listen."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.backchannels import is_backchannel
from pipeline.languages import Language


@pytest.mark.parametrize(
    ("language", "text"),
    [
        (Language.EN, "Mhm."),
        (Language.EN, "Mm-hmm."),
        (Language.EN, "Yeah, yeah."),
        (Language.EN, "Oh, I see."),
        (Language.FR, "Ouais."),
        (Language.FR, "Ah oui, d'accord."),
        (Language.ES, "Sí, claro."),
        (Language.ZH, "嗯。"),
        (Language.ZH, "嗯嗯嗯"),
        (Language.JA, "うん。"),
        (Language.JA, "うーーーん"),
        (Language.JA, "はい、そうですね。"),
        (Language.KO, "네, 네."),
        (Language.EN, ""),
    ],
)
def test_they_are_known_however_they_are_written(language: Language, text: str) -> None:
    assert is_backchannel(text, language)


@pytest.mark.parametrize(
    ("language", "text"),
    [
        (Language.EN, "Stop."),
        (Language.EN, "Yes, but what about tomorrow?"),
        (Language.EN, "No."),
        (Language.FR, "Attends."),
        (Language.ES, "Espera un momento."),
        (Language.ZH, "等一下。"),
        (Language.JA, "ちょっと待って。"),
        (Language.KO, "잠깐만요."),
    ],
)
def test_what_wants_to_be_heard_is_none(language: Language, text: str) -> None:
    assert not is_backchannel(text, language)


@given(st.lists(st.sampled_from(["yeah", "Mmm", "oh", "I see"]), min_size=1), st.sampled_from([", ", "... ", ". "]))
def test_any_number_of_them_is_one_until_something_else_is_said(said: list[str], mark: str) -> None:
    assert is_backchannel(mark.join(said), Language.EN)
    assert not is_backchannel(mark.join([*said, "stop"]), Language.EN)


@given(st.text(max_size=40), st.sampled_from(list(Language)))
def test_marks_alone_change_nothing(text: str, language: Language) -> None:
    assert is_backchannel(f"{text}!?", language) == is_backchannel(text, language)
