"""What people say to show that they listen, without wanting to be listened to."""

from __future__ import annotations

import re

from pipeline.languages import Language
from pipeline.profiles import TurnProfile
from pipeline.stt.base import Transcript

# Apart by commas. A letter that is doubled or drawn out counts once: "mhm" is "mmmhm" too.
_WORDS: dict[Language, str] = {
    Language.EN: (
        "mhm, m, hm, hum, uh, um, ah, oh, uhhuh, huh, aha, yeah, yep, yup, yes, okay, ok,"
        " right, sure, alright, wow, nice, cool, great, really, exactly, indeed, i see, got it, of course, all right,"
        " go on"
    ),
    Language.FR: (
        "mhm, m, hm, hum, euh, ah, oh, ouais, oui, ok, okay, bon, bien, ben oui, ah oui, ah bon, d'accord,"
        " voilà, exact, exactement, je vois, bien sûr, super"
    ),
    Language.ES: (
        "mhm, m, hm, eh, ah, oh, ajá, sí, si, vale, ok, okay, bueno, bien, claro, ya, ya veo, de acuerdo,"
        " exacto, exactamente, entiendo, por supuesto, ah sí"
    ),
    Language.ZH: (
        "嗯, 恩, 唔, 哦, 噢, 喔, 啊, 呃, 好, 好的, 好吧, 对, 對, 是, 是的, 是啊, 对啊, 没错, 知道了, 明白,"
        " 这样啊, 原来如此, 行, 可以"
    ),
    Language.JA: (
        "うん, うんうん, ううん, ん, ふん, へ, へえ, ほう, あ, はい, はいはい, え,"
        " そう, そうか, そうですか, そうですね, そうなんだ, なるほど, 確かに"
    ),
    Language.KO: (
        "음, 응, 어, 아, 오, 네, 예, 그래, 그래요, 그렇군요, 그렇구나, 맞아, 맞아요, 알겠어요, 알겠습니다,"
        " 아하, 그렇죠, 좋아요"
    ),
}

# Whatever else was taken for these, hardly any hum was.
_STOPS: dict[Language, str] = {
    Language.EN: "stop, stop it, please stop, hold on",
    Language.FR: "stop, arrête, arrêtez, attends, attendez, tais-toi",
    Language.ES: "stop, para, pare, basta, espera, espere, alto",
    Language.ZH: "停, 停下, 停一下, 等等, 等一下, 别说了",
    Language.JA: "ストップ, 待って, ちょっと待って, やめて, 止めて",
    Language.KO: "스톱, 잠깐, 잠깐만, 잠깐만요, 잠시만요, 그만, 멈춰",
}

_MARKS = re.compile(r"[,.;!?…。、，！？；]+")
_NOT_A_LETTER = re.compile(r"[\W_ー〜~]+")
# A hum has as many letters as the recogniser likes to give it: "Mmmm", "ううううん".
_AGAIN = re.compile(r"(.)\1+")


def is_murmur(transcript: Transcript, lasted_s: float, turns: TurnProfile) -> bool:
    """Whether so much speech shows no more than that somebody listens.

    The recogniser finds words in any hum, so in little speech it has to be sure of them.
    """
    unsure = transcript.confidence is not None and transcript.confidence < turns.sure
    if unsure and lasted_s < turns.murmur_s:
        return not asks_to_stop(transcript.text)
    return is_backchannel(transcript.text)


def is_backchannel(text: str) -> bool:
    """Whether `text` is nothing but such words, said once or several times over; of no words too.

    They count whatever the language: in a sound so short the recogniser takes one language for another.
    """
    return all(_is_known(part) for part in _MARKS.split(text))


def asks_to_stop(text: str) -> bool:
    """Whether `text` is nothing but a request to be silent, in any of the languages."""
    return _letters(text) in _STOP


def _is_known(part: str) -> bool:
    written = _letters(part)
    if not written or written in _KNOWN:
        return True
    words = part.split()
    return len(words) > 1 and all(_letters(word) in _KNOWN for word in words)


def _letters(text: str) -> str:
    return _AGAIN.sub(r"\1", _NOT_A_LETTER.sub("", text.lower()))


def _all(words: dict[Language, str]) -> frozenset[str]:
    return frozenset(_letters(word) for of_language in words.values() for word in of_language.split(","))


_KNOWN = _all(_WORDS)
_STOP = _all(_STOPS)
