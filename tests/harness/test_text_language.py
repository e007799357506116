"""In which language a text is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.fixtures import LANGUAGES, load_manifest
from harness.measures.text_language import language_of


@given(st.text())
def test_any_text_has_one_of_the_languages_or_none(text: str) -> None:
    assert language_of(text) in (*LANGUAGES, None)


def test_the_sentences_of_the_manifest_are_told_apart() -> None:
    """None is taken for another; those that do not show it are single words and names."""
    told = [(clip, language_of(clip.transcript)) for clip in load_manifest() if clip.language in LANGUAGES]
    assert [(clip.id, found) for clip, found in told if found not in (clip.language, None)] == []
    silent = [clip.id for clip, found in told if found is None and clip.use == "turn"]
    assert len(silent) <= 8, silent


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("The capital of France is Paris.", "en"),
        ("La capitale de l’Espagne est Madrid.", "fr"),
        ("La capital de Francia es París.", "es"),
        ("人口はどのくらいですか。", "ja"),
        ("那里有多少人口？", "zh"),
        ("감사합니다.", "ko"),
        ("", None),
        ("Paris.", None),
    ],
)
def test_everyday_answers(text: str, language: str | None) -> None:
    assert language_of(text) == language
