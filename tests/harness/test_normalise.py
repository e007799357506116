from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.normalise import normalise

LANGUAGES = st.sampled_from(["en", "fr", "es", "zh", "ja", "ko", "none"])
SCRIPTS = {
    "en": "one two twenty hundred and a half point dollars cents double it's he'd Mr. 5 10.5 $ % , . ' - n't 1st 's",
    "fr": "un une vingt et cent mille quatre-vingts dix-sept virgule l'école 6-6 1 000 5 % . - premier zéro deux",
    "es": "un uno veintiún mil cien y coma dos tres 1.000 2,5 % . - primero cero ¿qué?",
    "zh": "零 〇 一 二 两 三 十 百 千 万 亿 5 1. 般 点 年 - ３ 個 。 ，",
    "ja": "ガ カ ゛ ゜ は ー 〜 ~ ｶﾞ ﾊﾟ - 1 一 ― 「 」 。",
    "ko": "그는 1 가 ᄀ ᅡ . , 이리저리",
}


@st.composite
def sentences(draw: st.DrawFn) -> tuple[str, str]:
    language = draw(st.sampled_from(sorted(SCRIPTS)))
    words = draw(st.lists(st.sampled_from(SCRIPTS[language].split()), max_size=12))
    return language, draw(st.sampled_from(["", " "])).join(words)


@given(LANGUAGES, st.text(max_size=60))
def test_any_text_is_normalised_once_and_for_all(language: str, text: str) -> None:
    once = normalise(text, language)
    assert normalise(once, language) == once


@given(sentences())
def test_numbers_and_marks_are_normalised_once_and_for_all(sentence: tuple[str, str]) -> None:
    language, text = sentence
    once = normalise(text, language)
    assert normalise(once, language) == once


@pytest.mark.parametrize(
    ("language", "text", "expected"),
    [
        ("en", "It's colour, isn't it? Mr. Smith: one hundred and one.", "it is color is not it mister smith 101"),
        ("en", "uh, $10.50 — that's 5%", "$10.50 that is 5%"),
        ("fr", "L'ÉCOLE, vingt et un élèves à 1 000 €", "l école 21 élèves à 1000"),
        ("es", "¿Qué? veintiún mil señores", "qué 21000 señores"),
        ("zh", "「一般」來說，三十五個人。", "一般来说35个人"),
        ("zh", "二零零二年，５個蘋果和两本书", "2002年五个苹果和两本书"),
        ("zh", "零零后", "00后"),
        ("zh", "二〇〇二年", "2002年"),
        ("zh", "十分好，百姓万岁", "十分好百姓万岁"),
        ("zh", "千万十分三四个万一", "千万十分三四个万一"),
        ("ja", "ｶﾞｷﾞ・ガラス「パーティー」です。", "ガギガラスパーティーです"),
        ("ja", "Tokyo 東京 １２", "tokyo東京12"),
        ("ja", "ラ～メンのデ－タ", "ラーメンのデータ"),
        ("ko", "그는, 길 한 옆으로  걸어갔다.", "그는 길 한 옆으로 걸어갔다"),
        ("en", "it cost $ 5 .", "it cost 5"),
        ("fr", "½ litre", "1 2 litre"),
        ("es", "½ litro", "1 2 litro"),
        ("none", "Héllo, wörld!", "héllo wörld"),
        ("none", "a + b = c © ♪", "a b c"),
    ],
)
def test_what_counts_as_the_same(language: str, text: str, expected: str) -> None:
    assert normalise(text, language) == expected


@pytest.mark.parametrize(("one", "other"), [("ガ", "カ"), ("ば", "ぱ"), ("び", "ひ")])
def test_japanese_voicing_is_kept(one: str, other: str) -> None:
    assert normalise(one, "ja") != normalise(other, "ja")


@given(LANGUAGES, st.text(alphabet="aé가一カ.,!?;:、。，！？「」«»¿¡…—'\"()\n\t "))
def test_no_punctuation_is_left(language: str, text: str) -> None:
    assert not set(normalise(text, language)) & set(".,!?;:、。，！？「」«»¿¡…—'\"()\n\t")
