"""What people say to show that they listen."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.backchannels import asks_to_stop, is_backchannel


@pytest.mark.parametrize(
    "text",
    [
        "Mhm.",
        "Mm-hmm.",
        "Yeah, yeah.",
        "Oh, I see.",
        "Ouais.",
        "Ah oui, d'accord.",
        "Sí, claro.",
        "嗯。",
        "嗯嗯嗯",
        "うん。",
        "うーーーん",
        "はい、そうですね。",
        "네, 네.",
        "",
    ],
)
def test_they_are_known_however_they_are_written(text: str) -> None:
    assert is_backchannel(text)


@pytest.mark.parametrize(
    "text",
    [
        "Stop.",
        "Yes, but what about tomorrow?",
        "No.",
        "Attends.",
        "Espera un momento.",
        "等一下。",
        "ちょっと待って。",
        "잠깐만요.",
    ],
)
def test_what_wants_to_be_heard_is_none(text: str) -> None:
    assert not is_backchannel(text)


def test_they_are_known_in_whichever_language_they_were_taken_for() -> None:
    assert is_backchannel("Hmm, oui, はい")


@pytest.mark.parametrize("text", ["Stop!", "Arrête.", "¡Para!", "停！", "ストップ", "잠깐만요."])
def test_a_request_to_stop_is_known(text: str) -> None:
    assert asks_to_stop(text)
    assert not is_backchannel(text)


@pytest.mark.parametrize("text", ["", "Stop the car at the corner.", "Nice love.", "Mhm."])
def test_anything_else_is_none(text: str) -> None:
    assert not asks_to_stop(text)


@given(st.lists(st.sampled_from(["yeah", "Mmm", "oh", "I see"]), min_size=1), st.sampled_from([", ", "... ", ". "]))
def test_any_number_of_them_is_one_until_something_else_is_said(said: list[str], mark: str) -> None:
    assert is_backchannel(mark.join(said))
    assert not is_backchannel(mark.join([*said, "stop"]))


@given(st.text(max_size=40))
def test_marks_alone_change_nothing(text: str) -> None:
    assert is_backchannel(f"{text}!?") == is_backchannel(text)
