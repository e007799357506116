"""Profiles are read whole or not at all."""

from __future__ import annotations

import pytest

from pipeline.languages import AUTO, Language, parse_language
from pipeline.profiles import ProfileError, load_profile, profile_names


@pytest.mark.parametrize("name", profile_names())
def test_every_profile_loads_and_serves_all_six_languages(name: str) -> None:
    profile = load_profile(name)
    assert profile.name == name
    assert set(profile.language_model.engines) == set(profile.text_to_speech.engines) == set(Language)


def test_the_embedded_default_answers_english_and_echoes_the_rest() -> None:
    engines = load_profile("embedded").language_model.engines
    assert engines[Language.EN] == "smollm2"
    assert {engines[language] for language in Language if language is not Language.EN} == {"echo"}
    assert set(load_profile("embedded").with_echo().language_model.engines.values()) == {"echo"}


def test_an_unknown_profile_is_named_with_the_choices() -> None:
    with pytest.raises(ProfileError, match=r"'l5'.*embedded"):
        load_profile("l5")


def test_languages_are_parsed_or_refused_with_the_choices() -> None:
    assert parse_language(AUTO) is None
    assert parse_language("ja") is Language.JA
    with pytest.raises(ValueError, match=r"'de'.*en, fr, es, zh, ja, ko, auto"):
        parse_language("de")
