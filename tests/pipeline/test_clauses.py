"""The clause splitter: where it cuts in six scripts, where it must not, and that nothing is lost."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.clauses import ClauseSplitter
from pipeline.languages import Language


def split(text: str, language: Language, sizes: list[int] | None = None) -> list[str]:
    """Push `text` in pieces of `sizes` characters, over and over, or character by character."""
    splitter = ClauseSplitter(language)
    clauses: list[str] = []
    at = turn = 0
    while at < len(text):
        step = sizes[turn % len(sizes)] if sizes else 1
        clauses += splitter.push(text[at : at + step])
        at, turn = at + step, turn + 1
    return clauses + splitter.finish()


@pytest.mark.parametrize(
    ("language", "clauses"),
    [
        (Language.EN, ["Sure. ", "I can help you with that."]),
        (Language.EN, ["Yes, of course, ", "I can help you with that."]),
        (Language.EN, ["He said “no!” ", "Then he left the house."]),
        (Language.EN, ["Well... ", "it depends on the weather (mostly)."]),
        (Language.EN, ["So do I. ", "What about the others?"]),
        (Language.FR, ["Bien sûr ! ", "Je peux vous aider."]),
        (Language.FR, ["Il a dit « oui. » ", "Puis il est parti."]),
        (Language.ES, ["¡Claro que sí! ", "¿En qué puedo ayudarte?"]),
        (Language.ZH, ["好的。", "我当然可以帮助你，", "请告诉我你的名字。"]),
        (Language.ZH, ["他说“好！”", "然后他就走了。"]),
        (Language.ZH, ["你好世界,", "今天天气很好."]),
        (Language.JA, ["はい。", "もちろん、お手伝いします。"]),
        (Language.JA, ["「そうですね。」", "と彼は言いました。"]),
        (Language.KO, ["네. ", "제가 도와드릴게요, ", "이름을 말씀해 주세요."]),
    ],
)
def test_cuts_at_marks(language: Language, clauses: list[str]) -> None:
    assert split("".join(clauses), language) == clauses


@pytest.mark.parametrize(
    ("language", "text"),
    [
        (Language.EN, "Pi is 3.14"),
        (Language.EN, "Some 1,000 dollars"),
        (Language.EN, "Meet at 10:30"),
        (Language.EN, "Ask Mr. Smith today"),
        (Language.EN, "Some fruit, e.g. apples"[12:]),
        (Language.EN, "Ask J. R. Smith today"),
        (Language.EN, "See www.example.com/a?b=c,d"),
        (Language.EN, "1. First of all"),
        (Language.FR, "Voici M. Dupont"),
        (Language.FR, "Et p. ex. lui"),
        (Language.ES, "El Sr. López"),
        (Language.ES, "De EE. UU. viene"),
        (Language.ZH, "现在是10：30分"),
        (Language.ZH, "列奥纳多·达·芬奇"),
        (Language.ZH, "大约3.5万人"),
        (Language.JA, "1,000円です"),
    ],
)
def test_does_not_cut_inside(language: Language, text: str) -> None:
    assert split(text, language) == [text]


def test_a_mark_at_the_end_of_what_came_so_far_waits() -> None:
    splitter = ClauseSplitter(Language.EN)
    assert splitter.push("It is 3.") == []
    assert splitter.push("14 metres. ") == []
    assert splitter.push("N") == ["It is 3.14 metres. "]
    assert splitter.finish() == ["N"]


def test_without_a_mark_the_first_clause_ends_at_a_word() -> None:
    text = "one two three four five six seven eight nine ten eleven"
    assert split(text, Language.EN) == ["one two three four five ", "six seven eight nine ten eleven"]


@pytest.mark.parametrize(
    ("language", "clauses"),
    [
        (Language.EN, ["I'm sorry ", "for your loss."]),
        (Language.EN, ["The two pools ", "of genetic variation"]),
        (Language.EN, ["The West ", "is a major contributor"]),
        (Language.EN, ["I'm ready ", "to assist."]),
        (Language.EN, ["I'm glad forests ", "are green."]),
        (Language.FR, ["Je pense ", "que c'est vrai."]),
        (Language.ES, ["La capital ", "de Francia"]),
    ],
)
def test_the_first_clause_ends_before_a_phrase(language: Language, clauses: list[str]) -> None:
    assert split("".join(clauses), language) == clauses


def test_an_early_comma_is_used_when_no_better_mark_comes() -> None:
    clauses = split("Sure, one two three four five six seven eight nine", Language.EN)
    assert clauses[0] == "Sure, "


def test_without_a_mark_a_number_is_never_cut() -> None:
    clauses = split("one two three 1,000,000.50 people came to see it", Language.EN)
    assert clauses == ["one two three 1,000,000.50 people ", "came to see it"]


def test_without_a_mark_japanese_is_cut_between_phrases() -> None:
    clauses = split("昨日友達と一緒に東京の大きな公園でゆっくりと散歩をしました", Language.JA)
    assert clauses == ["昨日友達と", "一緒に東京の大きな公園でゆっくりと", "散歩をしました"]


def test_later_clauses_are_longer() -> None:
    sentence = "We went up, then down, then up again, then down, and so on until it was dark. "
    clauses = split(sentence * 4, Language.EN)
    assert len(clauses[0]) < len(clauses[1]) < len(clauses[-1])


def test_short_sentences_after_the_first_go_together() -> None:
    assert split("Hello there. Yes. No. Maybe one. Good.", Language.EN) == [
        "Hello there. ",
        "Yes. No. Maybe one. ",
        "Good.",
    ]


def test_nothing_in_nothing_out() -> None:
    assert ClauseSplitter(Language.EN).finish() == []


@pytest.mark.parametrize(
    ("language", "text", "inside"),
    [
        (Language.EN, "we looked at the very big old house behind the garden wall", "the very"),
        (Language.EN, "yesterday evening Giancarlo Fisichella won another race", "Giancarlo Fisichella"),
        (Language.EN, "you should leave here before 10 minutes have passed", "10 minutes"),
        (Language.FR, "giancarlo fisichella a perdu le contrôle de sa voiture", "a perdu"),
        (Language.FR, "aujourd'hui je crois qu'il n'est pas encore arrivé chez lui", "qu'il n'est pas encore"),
        (Language.FR, "vous trouverez une bonne recette de soupe à la tomate", "une bonne recette"),
        (Language.ES, "ayer el señor duvall que está casado llegó a la plaza", "que está casado"),
        (Language.ES, "puedes encontrar una buena receta de sopa de tomate", "una buena receta"),
        (Language.ZH, "听说你今天身体不舒服所以我感到很难过", "身体"),
        (Language.ZH, "东京奥运组委会正式承认盗用他人照片后", "组委会"),
        (Language.ZH, "你能提醒我明天早上给姐姐打电话吗", "早上"),
        (Language.JA, "私があまりあけすけに申し上げたのでお気にさわったらしい", "あけすけに"),
        (Language.JA, "復興努力に対する批判がきのうの新聞に大きく載っていました", "に対する"),
        (Language.JA, "きのう駅で東京の友達と会ってからゆっくりと散歩をしました", "東京の友達"),
        (Language.FR, "malheureusement il semble que cela ait été causé par un incendie malveillant", "ait été causé"),
        (Language.JA, "客観的実在についてお話しするのはむずかしいです", "お話し"),
        (Language.KO, "오늘 아침에 우리는 새 집으로 이사를 했습니다", "새 집"),
        (Language.KO, "한 잔 의 커피 가 소비자 에게 전해지기 위해선", "커피 가"),
    ],
)
def test_a_breath_is_not_drawn_inside(language: Language, text: str, inside: str) -> None:
    clauses = split(text, language)
    assert len(clauses) > 1
    assert any(inside in clause for clause in clauses)


def test_no_word_is_left_alone_for_the_last_clause() -> None:
    text = "C'est une excellente question ! La lune tourne autour de la terre en vingt-sept jours environ."
    assert split(text, Language.FR)[-1] == text[text.index("La lune") :]


@pytest.mark.parametrize(
    ("text", "clauses"),
    [
        (
            "Try this: ```py\nx = 1. y = 2.\n``` Then go on.",
            ["Try this: ", "```py\nx = 1. y = 2.\n``` ", "Then go on."],
        ),
        ("Try it ```x. y. z", ["Try it ", "```x. y. z"]),
        (
            "```x. y. z```\n\nSure, that is all there is to it.",
            ["```x. y. z```\n\n", "Sure, ", "that is all there is to it."],
        ),
    ],
)
def test_a_block_of_code_is_a_clause_of_its_own(text: str, clauses: list[str]) -> None:
    assert split(text, Language.EN) == clauses


@pytest.mark.parametrize(
    "whole",
    ["`for a in b: print(a); exit(0)`", "[the first. And the second, of many chapters](https://a.example/b c)"],
)
def test_code_in_a_line_and_a_link_stay_whole(whole: str) -> None:
    assert any(whole in clause for clause in split(f"Here is {whole} for you.", Language.EN))


def test_what_only_begins_like_code_or_a_link_holds_the_reply_no_longer_than_its_line() -> None:
    splitter = ClauseSplitter(Language.EN)
    assert splitter.push("Yes [really. And so ") == []
    assert splitter.push("on.\nThen") == ["Yes [really. "]


@pytest.mark.parametrize(
    ("language", "text", "words"),
    [
        (Language.EN, "are done in the West", "are done "),
        (Language.EN, "of spades in a deck", "of spades "),
        (Language.EN, "you're here. And", "you're here. "),
        (Language.EN, "necessarily modern wi", "necessarily "),
        (Language.EN, "are done", ""),
        (Language.EN, "in 1,000,000.50", ""),
        (Language.EN, "`for a in b: print(a); exit(0)`", ""),
        (Language.FR, "la capitale de la", "la capitale "),
        (Language.ES, "la ciudad de Madrid", "la ciudad "),
        (Language.ZH, "我当然可以帮助你们", "我当然"),
        (Language.JA, "東京の大きな公園で", "東京の大きな"),
        (Language.KO, "내일 도와드릴게요 그리고", "내일 "),
    ],
)
def test_in_a_hurry_a_few_words_that_go_together_are_a_clause(language: Language, text: str, words: str) -> None:
    splitter = ClauseSplitter(language)
    first, *more = splitter.push("1. Yes! " + text)
    assert (first, more) == ("1. Yes! ", [])
    assert splitter.hurry() == words
    assert "".join(splitter.finish()) == text.removeprefix(words)


def test_after_a_hurry_clauses_are_as_they_would_have_been() -> None:
    rest = "in the West, and then we went up, then down, then up again, then down, and so on until it was dark."
    hurried, calm = ClauseSplitter(Language.EN), ClauseSplitter(Language.EN)
    assert hurried.push("Yes. We are done in the") == ["Yes. "]
    assert hurried.hurry() == "We are done "
    assert calm.push("Yes. in the") == ["Yes. "]
    rest = rest.removeprefix("in the")
    assert hurried.push(rest) + hurried.finish() == calm.push(rest) + calm.finish()


ENDLESS = {
    "a word": "a",
    "a number": "1",
    "brackets": "(",
    "open links": "[",
    "spaces": " ",
    "lines": "\n",
    "full stops": ".",
    "ellipses and quotes": "…”",
    "lines and quotes": '\n"',
    "guillemets": "! »",
    "initials": "A.",
    "emoji": "🙂",
    "marks on nothing": "\u0301",
    "ideographs": "你",
    "kana": "ア",
    "syllables": "한",
    "backticks that are no code": "` ",
}


@pytest.mark.parametrize("language", Language)
@pytest.mark.parametrize("unit", ENDLESS.values(), ids=ENDLESS.keys())
def test_no_clause_is_without_end_whatever_a_text_is_made_of(language: Language, unit: str) -> None:
    """A synthesiser would be at it for minutes, and the splitter would read all of it again with every piece."""
    text = "Well then. " + unit * (5_000 // len(unit))
    clauses = split(text, language, [700])
    assert "".join(clauses) == text
    assert max(map(len, clauses)) < 1_500
    assert clauses == split(text, language, [4_000, 300])


_TEXTS = st.one_of(
    st.text(max_size=200),
    st.text(alphabet="a`[]()\n .b", max_size=80),
    st.text(alphabet="ab I1 .,!?:;…\n\"'”»)。！？、，「」“你はのア한국·é", max_size=300),
)


@given(text=_TEXTS, language=st.sampled_from(Language), sizes=st.lists(st.integers(1, 40), min_size=1, max_size=8))
def test_nothing_is_lost_and_pieces_do_not_matter(text: str, language: Language, sizes: list[int]) -> None:
    clauses = split(text, language, sizes)
    assert "".join(clauses) == text
    assert all(clauses)
    assert clauses == split(text, language)
