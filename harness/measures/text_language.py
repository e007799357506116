"""In which of the six languages a text is written: by its script, and by small words where that is Latin."""

from __future__ import annotations

import re

_HANGUL = re.compile("[\uac00-\ud7a3\u1100-\u11ff]")
_KANA = re.compile("[\u3041-\u30ff]")
_HAN = re.compile("[\u4e00-\u9fff]")
_LATIN = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)?")

SMALL_WORDS = {
    "en": "the a an and of to is are was were in on it that this you i we he she they what how do does did can could "
    "would will not have has had for with my your me at be there as but or if from about s t re ll it's i'm don't",
    "fr": "le la les l un une des et de du d au aux est sont était être dans sur il elle ce cette que qui quoi je tu "
    "nous vous ils elles ne pas ai as avez ont pour avec mon ton votre ma ta me moi comment quel quelle y en se s n qu "
    "j c mais ou si plus bien merci bonjour oui peux arrête attends",
    "es": "el la los las un una unos unas y de del al es son era eran ser en que qué quién cómo cuál cuánta cuántas "
    "cuántos yo tú usted nosotros ellos no ha has han he para con mi tu su me te se lo por pero o si sí más muy hay "
    "está están puedo puede puedes gracias hola espera tengo otra pregunta",
}
"""Of which everyday sentences in the three languages are full; a word may be one of several languages."""
FEWEST = 2
"""With fewer of them it may be chance: "no" is a sentence in two of the languages."""
_SETS = {language: frozenset(words.split()) for language, words in SMALL_WORDS.items()}


def language_of(text: str) -> str | None:
    """The code of the language of a text; None where too little of it tells.

    Korean is written in Hangul; Japanese has kana between its characters, which Chinese never has. Latin letters are
    English, French or Spanish by which of them has the most small words in it, letters with an accent of only one of
    them counting as one.
    """
    if _HANGUL.search(text):
        return "ko"
    if _KANA.search(text):
        return "ja"
    if _HAN.search(text):
        return "zh"
    words = _LATIN.findall(text.lower().replace("\u2019", "'"))
    pieces = [piece for word in words for piece in ({word, *word.split("'")} if "'" in word else {word})]
    scores = {language: sum(piece in known for piece in pieces) for language, known in _SETS.items()}
    scores["es"] += len(re.findall("[ñ¿¡áíóú]", text.lower()))
    scores["fr"] += len(re.findall("[àâçèêëîïôœùû]", text.lower()))
    best = max(scores, key=lambda language: scores[language])
    others = [score for language, score in scores.items() if language != best]
    return best if scores[best] >= FEWEST and scores[best] > max(others) else None
