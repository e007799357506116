"""Text to Kokoro's sounds: known words in each language, and that no text breaks it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.languages import Language
from pipeline.tts.phonemes import LANGUAGES, Phonemizer
from pipeline.tts.phonemes.vocabulary import VOCABULARY


@pytest.fixture(scope="module")
def phonemizer() -> Phonemizer:
    return Phonemizer()


@pytest.mark.parametrize(
    ("language", "text", "sounds"),
    [
        (Language.EN, "Hello, world!", "həlˈO, wˈɜɹld!"),
        (Language.EN, "a little button", "ɐ lˈɪTᵊl bˈʌtᵊn"),
        (Language.EN, "“Yes” (now)…", "“jˈɛs” (nˈW)…"),
        (Language.EN, "3.14 at 10:30.", "θɹˈi pYnt wˈʌn fˈɔɹ æt tˈɛn θˈɜɹTi."),
        (Language.FR, "Bonjour, ça va ?", "bɔ̃ʒˈuʁ, sa vˈa?"),
        (Language.FR, "« un bon vin blanc »", "“œ̃ bˈɔ̃ vˈɛ̃ blˈɑ̃”"),
        (Language.ES, "¿Qué tal, mañana?", "kˈe tˈal, maɲˈana?"),
        (Language.ZH, "你好，世界！", "ni↓xau↓, ʂɨ↘ʨje↘!"),
        (Language.ZH, "我用Windows。", "wo↓jʊ↘ŋ wˈɪndOz."),
        (Language.ZH, "三月14日", "sa→nɥe↘ ʂɨ↗sɨ↘ɻɨ↘"),
        (Language.ZH, "2个，12个，第2个", "lja↓ŋkɤ↘, ʂɨ↗ɚ↘kɤ↘, ti↘ɚ↘kɤ↘"),
        (Language.JA, "こんにちは。", "koɲɲiʨiβa."),
        (Language.JA, "今日は、東京タワー。", "kʲoː βa, toːkʲoːtaβaː."),
        (Language.JA, "ちょっと待って！", "ʨoʔto maʔte!"),
        (Language.JA, "ファンとWindowsです", "ɸaɴ to wˈɪndOz desɨ"),
    ],
)
def test_known_sounds(phonemizer: Phonemizer, language: Language, text: str, sounds: str) -> None:
    assert phonemizer(text, language) == sounds


@pytest.mark.parametrize(("language", "text"), [(Language.ZH, "明天天气很好"), (Language.JA, "明日の天気は晴れです")])
def test_han_is_read_in_its_own_language(phonemizer: Phonemizer, language: Language, text: str) -> None:
    # espeak-ng reads it as "Chinese letter, Chinese letter, ...".
    assert "lˈɛTəɹ" not in phonemizer(text, language)


@pytest.mark.parametrize("language", LANGUAGES)
def test_nothing_to_say(phonemizer: Phonemizer, language: Language) -> None:
    assert phonemizer(" ", language) == ""


def test_a_number_too_long_to_name_is_read_by_its_digits(phonemizer: Phonemizer) -> None:
    sounds = phonemizer("1" * 40, Language.ZH)
    assert sounds.replace(" ", "") == "i→" * 40


@given(
    text=st.one_of(
        st.text(max_size=60),
        st.text(alphabet="aé ñ1.,'’-%°$()（）「」、。・ーッンキャ々儿嗯卅你한İß\u0301\0\n", max_size=40),
    ),
    language=st.sampled_from(LANGUAGES),
)
def test_no_text_breaks_it(phonemizer: Phonemizer, text: str, language: Language) -> None:
    assert set(phonemizer(text, language)) <= VOCABULARY.keys()


def test_the_vocabulary_has_a_number_of_its_own_for_each_letter() -> None:
    assert len(set(VOCABULARY.values())) == len(VOCABULARY) == 114
