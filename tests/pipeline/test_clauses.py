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
    assert split(text, Language.EN) == ["one two three four five six ", "seven eight nine ten eleven"]


@pytest.mark.parametrize(
    ("language", "clauses"),
    [
        (Language.EN, ["I'm sorry ", "for your loss."]),
        (Language.EN, ["The two pools ", "of genetic variation"]),
        (Language.EN, ["The West ", "is a major contributor"]),
        (Language.EN, ["I'm ready ", "to assist."]),
        (Language.EN, ["I'm glad forests ", "are green."]),
        (Language.FR, ["Je pense ", "que oui."]),
        (Language.ES, ["La capital ", "de Francia"]),
    ],
)
def test_the_first_clause_ends_before_a_phrase(language: Language, clauses: list[str]) -> None:
    assert split("".join(clauses), language) == clauses


def test_an_early_comma_is_used_when_no_better_mark_comes() -> None:
    clauses = split("Sure, one two three four five six seven eight nine", Language.EN)
    assert clauses[0] == "Sure, "


def test_without_a_mark_a_number_is_never_cut() -> None:
    clauses = split("one two three 1,000,000.50 nine", Language.EN)
    assert clauses[0].endswith("1,000,000.50 ")


def test_without_a_mark_japanese_is_cut_between_phrases() -> None:
    clauses = split("昨日友達と一緒に東京の大きな公園でゆっくりと散歩をしました", Language.JA)
    assert clauses[0] == "昨日友達と一緒に"


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


_TEXTS = st.one_of(
    st.text(max_size=200),
    st.text(alphabet="ab I1 .,!?:;…\n\"'”»)。！？、，「」“你はのア한국·é", max_size=300),
)


@given(text=_TEXTS, language=st.sampled_from(Language), sizes=st.lists(st.integers(1, 40), min_size=1, max_size=8))
def test_nothing_is_lost_and_pieces_do_not_matter(text: str, language: Language, sizes: list[int]) -> None:
    clauses = split(text, language, sizes)
    assert "".join(clauses) == text
    assert all(clauses)
    assert clauses == split(text, language)
