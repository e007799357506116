"""What of a text is said aloud."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.languages import Language
from pipeline.tts.speakable import speakable


@pytest.mark.parametrize(
    ("language", "text", "said"),
    [
        (Language.EN, "**Bold** and `code`,\n  _so_", "Bold and code, so"),
        (Language.EN, "use snake_case and **bo", "use snake case and bo"),
        (Language.EN, "# Title\n- one\n* two", "Title. one. two"),
        (Language.EN, "Title 😀\n", "Title."),
        (Language.EN, "Run `main`\nGreat! 😀\nNext", "Run main. Great! Next"),
        (Language.ZH, "- 一\n- 二", "一。 二"),
        (Language.EN, "- [x] done", "done"),
        (Language.EN, "one\n\n---\n\ntwo", "one. two"),
        (Language.EN, "| a | b |\n|---|:-:|\n| 1 | 2 |", "a, b. 1, 2"),
        (Language.EN, "Hi 😀 there 👩‍👩‍👧!", "Hi there !"),
        (Language.EN, "1️⃣ one → two", "1 one two"),
        (Language.EN, "See [the site](https://a.example/b?c=d).", "See the site."),
        (Language.EN, '![A cat](cat.png "Tom") sat [1].', "A cat sat ."),
        (Language.EN, "Like this: ```print(1)``` done", "Like this: done"),
        (Language.EN, "Like this:\n```py\nprint(1)\n", "Like this:"),
        (Language.EN, "<b>Fish</b> &amp; chips<br>now <!-- no -->", "Fish and chips. now"),
        (Language.EN, "[laughs] Sure.", "Sure."),
        (Language.EN, "*sighs* Well. *Really* good.", "Well. Really good."),
        (Language.EN, "Dear [your name], hello", "Dear your name, hello"),
        (Language.JA, "そうですね（笑）。", "そうですね 。"),
        (Language.EN, "Hello :) (^_^) (T_T) <3", "Hello"),
        (Language.EN, "It ends (see page 8).", "It ends (see page 8)."),
        (Language.EN, "No way!!! Well......", "No way! Well..."),
        (Language.ZH, "好。。。嗯……", "好。。。嗯…"),
        (Language.ZH, "ＡＢＣ１２３，好！", "ABC123，好！"),
        (Language.EN, "a\u200bb\u00adc\x07", "abc"),
        (Language.FR, "M. Dupont, p.ex. ici", "Monsieur Dupont, par exemple ici"),
        (Language.EN, "Ask Dr. Who, e.g. today", "Ask Doctor Who, for example today"),
        (Language.ES, "El Sr. López de EE.UU.", "El Señor López de Estados Unidos"),
        (Language.ZH, "**你好**，世界！🎉", "你好，世界！"),
        (Language.JA, "「はい」。", "「はい」。"),
        (Language.KO, "네, 좋아요 🙂", "네, 좋아요"),
        (Language.EN, "...", ""),
        (Language.EN, "🎉 —", ""),
        (Language.ZH, "。！", ""),
    ],
)
def test_what_is_said(language: Language, text: str, said: str) -> None:
    assert speakable(text, language) == said


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("See https://www.example.com/b?c=d.", "See example dot com."),
        ("Write to info@example.com", "Write to info at example dot com"),
        ("Open main.py", "Open main dot py"),
        ("1,234,567 of 3.14", "1234567 of 3.14"),
        ("at 7:05, 7:00, 10:00 am", "at 7 oh 5, 7 o'clock, 10 am"),
        ("on 2026-11-24 and 3/15/2026", "on November 24, 2026 and March 15, 2026"),
        ("in 1999, 1905, the 1990s and 1500", "in 19 99, 19 oh 5, the 19 nineties and 15 hundred"),
        (
            "$5, $5.50, $1,299.99, $1 and $5 million",
            "5 dollars, 5 dollars 50, 1,299 dollars 99, 1 dollar and 5 million dollars",
        ),
        ("$10-20", "10 to 20 dollars"),
        ("10–20 of 5-10%", "10 to 20 of 5 to 10 percent"),
        (
            "-5 °C, 1 km, 100 km/h, 5 m²",
            "minus 5 degrees Celsius, 1 kilometer, 100 kilometers per hour, 5 square meters",
        ),
        ("3 × 4 = 12, x < 5, 5 - 3 = 2", "3 times 4 equals 12, x is less than 5, 5 minus 3 equals 2"),
        ("½ of 2½ and 9/10", "one half of 2 and one half and 9 over 10"),
        ("Call 555-1234", "Call 5 5 5, 1 2 3 4"),
        ("From 1939-1945, some 100-1000", "From 1939 to 1945, some 100 to 1000"),
        ("3x faster", "3 times faster"),
        ("#1 in C# and A & B", "number 1 in C sharp and A and B"),
        ("World War II, I think", "World War 2, I think"),
        ("GPT-4, COVID-19, e-mail, 16:9", "GPT-4, COVID-19, e-mail, 16:9"),
    ],
)
def test_english_signs(text: str, said: str) -> None:
    assert speakable(text, Language.EN) == said


@pytest.mark.parametrize(
    ("language", "text", "said"),
    [
        (Language.FR, "1\u202f234,50 € ou 5 millions €", "1234 euros 50 ou 5 millions d'euros"),
        (Language.FR, "à 14h30 le 2026-01-01", "à 14 heures 30 le 1er janvier 2026"),
        (Language.FR, "au XXe siècle, la 3ème ou 2e", "au vingtième siècle, la troisième ou deuxième"),
        (Language.FR, "20 °C, 10-20 km, n° 5", "20 degrés Celsius, 10 à 20 kilomètres, numéro 5"),
        (Language.FR, "www.exemple.fr", "exemple point fr"),
        (Language.ES, "3,50 € y 1.234,56 €", "3 euros 50 y 1.234 euros 56"),
        (Language.ES, "a las 10:30 h del 24/11/2026", "a las 10 y 30 del 24 de noviembre de 2026"),
        (Language.ES, "el 1er piso, n.º 5, 3ª", "el primer piso, número 5, 3ª"),
        (Language.ES, "2+2=4 y -5 °C", "2 más 2 es igual a 4 y menos 5 grados Celsius"),
        (Language.ZH, "10：30跑5km，￥500", "10点30分跑5公里，500元"),
        (Language.ZH, "温度为-5℃~10℃", "温度为负5摄氏度到10摄氏度"),
        (Language.ZH, "2+2=4，占25%", "2 加 2 等于 4，占25%"),
        (Language.JA, "7:05に¥1,500～¥2,000", "7時5分に1,500円から2,000円"),
        (Language.JA, "1/2は50％", "2分の1は50パーセント"),
        (Language.KO, "3:30에 2명, 12개, 25개", "세 시 30분에 두 명, 열두 개, 25개"),
        (Language.KO, "10~20, 25%, 5km, $5, 1/2", "10에서 20, 25 퍼센트, 5 킬로미터, 5 달러, 2분의 1"),
    ],
)
def test_signs_of_other_languages(language: Language, text: str, said: str) -> None:
    assert speakable(text, language) == said


_SAMPLES = {
    Language.EN: "I don't know, Anna: it's 25 or 3.14 (roughly)!",
    Language.FR: "L'homme qu'il a vu n'est pas là ; « peut-être » ?",
    Language.ES: "¿Qué tal, niño? ¡Bien! Cuesta 3,14 o más.",
    Language.ZH: "你好，世界！第2个，3.14万人。",
    Language.JA: "「はい」、レオナルド・ダ・ヴィンチは3人です。",
    Language.KO: "안녕하세요, 반갑습니다! 2026년 11월입니다.",
}


@pytest.mark.parametrize("language", Language)
def test_plain_text_stays_as_it_is(language: Language) -> None:
    assert speakable(_SAMPLES[language], language) == _SAMPLES[language]


@given(data=st.data(), language=st.sampled_from(Language))
def test_plain_words_stay_as_they_are(data: st.DataObject, language: Language) -> None:
    words = [word for word in _SAMPLES[language].replace("2个", "").split() if word.strip(",.!?").isalpha()]
    text = " ".join(data.draw(st.lists(st.sampled_from(words or [_SAMPLES[language]]), min_size=1, max_size=12)))
    assert speakable(text, language) == text


_SIGNS = st.text(
    alphabet="aZ é1234567890.,:;/-–+×=<>%°€$¥&@#*_`~|[](){}\\^\n\"'kmCXVIeº年시개😀½２\u200d\ufe0f", max_size=40
)


@given(text=st.one_of(st.text(max_size=200), _SIGNS), language=st.sampled_from(Language))
def test_one_line_without_markup_or_nothing(text: str, language: Language) -> None:
    said = speakable(text, language)
    assert said == " ".join(said.split())
    assert not said or any(letter.isalnum() for letter in said)
    assert not set(said) & set("*_`~|#\\{}[]^<>→\u200d\ufe0f")
    assert not any(unicodedata.category(letter) in ("Cc", "Cf", "Cn", "Co", "Cs") for letter in said)
    assert not any(unicodedata.category(letter) == "So" and letter != "°" for letter in said)
