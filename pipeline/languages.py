"""The six languages: the one table that every room of the pipeline and the server asks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum


class Language(StrEnum):
    """ISO 639-1 codes, as Whisper and the protocols spell them."""

    EN = "en"
    FR = "fr"
    ES = "es"
    ZH = "zh"
    JA = "ja"
    KO = "ko"


@dataclass(frozen=True, slots=True)
class LanguageTraits:
    """What the cascade needs to know of a language.

    Attributes:
        name: in English, for people.
        instructions: the system prompt of a reply in this language.
        joins_words: True where words are written without spaces between them.
    """

    name: str
    instructions: str
    joins_words: bool = False


TRAITS: dict[Language, LanguageTraits] = {
    Language.EN: LanguageTraits(
        "English", "You are a friendly voice assistant. Answer in one or two short spoken sentences."
    ),
    Language.FR: LanguageTraits("French", "Tu es un assistant vocal aimable. Réponds en une ou deux phrases courtes."),
    Language.ES: LanguageTraits("Spanish", "Eres un asistente de voz amable. Responde con una o dos frases cortas."),
    Language.ZH: LanguageTraits("Chinese", "你是一个友好的语音助手。请用一两句简短的话回答。", joins_words=True),
    Language.JA: LanguageTraits(
        "Japanese", "あなたは親切な音声アシスタントです。一、二文で短く答えてください。", joins_words=True
    ),
    Language.KO: LanguageTraits("Korean", "당신은 친절한 음성 비서입니다. 한두 문장으로 짧게 대답하세요."),
}

AUTO = "auto"

_STEADY_S = 1.5
_STEADINESS = 20.0


def likelihoods(languages: Sequence[Language], spoken: Language | None, seconds: float) -> dict[Language, float]:
    """How likely each of `languages` is before anything is heard.

    All are alike, but for a word or two: in so little speech languages are easily mistaken, and hardly anybody changes
    to another one for it, so the language spoken last counts more, the more the less there is to hear. `seconds` is
    the length of the audio, with the silence around it.
    """
    prior = dict.fromkeys(languages, 1.0)
    if spoken in prior:
        prior[spoken] = _STEADINESS ** max(0.0, 1.0 - seconds / _STEADY_S)
    return prior


def parse_language(text: str) -> Language | None:
    """A language code, or None for `auto` (detect it anew in every turn).

    Raises:
        ValueError: neither `auto` nor one of the six.
    """
    if text == AUTO:
        return None
    try:
        return Language(text)
    except ValueError:
        choices = ", ".join([*Language, AUTO])
        raise ValueError(f"unknown language {text!r}; choose one of {choices}") from None
