"""Where a speaker may draw breath between two words that no mark parts, in all six scripts.

Never inside what is said in one go: after an article, a preposition, a pronoun or another word that leans on the next,
before one that leans on the last, within a name, or beside a number.
"""

from __future__ import annotations

import re
from enum import IntEnum

from pipeline.languages import Language


class Gap(IntEnum):
    """How well a breath fits: not at all, if need be, or before a phrase."""

    NONE = 0
    WORD = 1
    PHRASE = 2


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_PHRASES: dict[Language, frozenset[str]] = {
    Language.EN: _words(
        "about after and are as at because before but by can could for from have has if in into is of on or so"
        " than that the then there to until was we were what when where which while who why will with without"
        " would you"
    ),
    Language.FR: _words(
        "à au aux avant avec car chez comme dans de depuis des donc du elle en est et il ils je mais nous on ou"
        " où par parce pendant pour puis qu quand que qui sans si sont sous sur tu vers vous"
    ),
    Language.ES: _words(
        "a al ante aunque con como cuando de del desde donde en entre es está están hasta la las los ni o para"
        " pero por porque pues que se si sin sobre son su también y"
    ),
    Language.ZH: _words(
        "在 从 对 和 与 及 或 但 但是 因为 所以 如果 而 而且 并 并且 或者 以及 也 都 把 被 给 是 会 能 可以 只能"
        " 需要 大约 根据 为了 关于 通过 推出 正式 将 已 已经 没有 有"
    ),
    Language.JA: frozenset(),
    Language.KO: frozenset(),
}
"""A phrase begins with these."""

_LEANING: dict[Language, frozenset[str]] = {
    Language.EN: _words(
        "a an the this that these those my your his her its our their no any some every each many much more most"
        " very too so as quite rather how what which of in on at by for from to with without about into onto over"
        " under between behind before after through during against within across along among around near since"
        " until toward towards upon than like and or but if because while when where who whose why although though"
        " unless i you he she it we they there is are was were am be been being have has had do does did will"
        " would can could shall should may might must not never also just only even still already almost let mr"
        " mrs ms dr s t m re ve ll d"
    ),
    Language.FR: _words(
        "le la les l un une des du de d au aux ce c cet cette ces mon ma mes ton ta tes son sa ses notre nos"
        " votre vos leur leurs je j tu il elle on nous vous ils elles me m te t se s y en ne n pas jamais rien que"
        " qu qui quoi dont où quand comme si et ou mais donc car ni or à dans par pour sur sous avec sans chez"
        " vers entre depuis pendant avant après contre jusqu lorsque lorsqu puisque puisqu quel quelle quels"
        " quelles plus moins très trop bien aussi tout toute tous toutes chaque quelques plusieurs est es suis"
        " sommes êtes sont était étaient sera été ait aient soit ai as a avons avez ont avait avaient peut peuvent"
        " doit doivent va vont être avoir presque environ selon cent bon bonne grand grande petit petite beau"
        " belle nouveau nouvelle autre autres même premier première deux trois quatre cinq six sept huit neuf dix"
        " vingt trente mille m. mme"
    ),
    Language.ES: _words(
        "el la los las un una unos unas lo al del de a en con por para sin sobre entre hasta desde hacia según"
        " contra durante mediante ante tras y e o u ni que si como cuando donde quien cual cuyo pero sino porque"
        " aunque pues mi mis tu tus su sus nuestro nuestra este esta estos estas ese esa esos esas aquel aquella"
        " me te se nos os le les yo tú él ella usted nosotros ellos ellas ustedes no es son está están era fue ser"
        " estar sea sido ha han he hemos había puede pueden puedo debe más menos muy tan tanto tanta todo toda"
        " todos todas cada casi algún alguna algunos algunas ningún otro otra otros otras mismo gran buen buena"
        " mejor primer primera cualquier poca poco dos tres cuatro cinco seis siete ocho nueve diez veinte mil san"
        " santa"
    ),
    Language.ZH: _words(
        "把 被 在 从 对 和 与 及 跟 向 给 为 以 由 比 或 但 而 并 一 两 几 这 那 每 某 各 本 该 不 没 很 也 都 就"
        " 还 最 更 太 再 又 将 已 非常 比较 十分 已经 正在 几乎 有 是 会 能 可以 只能 我 你 您 他 她 它 我们 你们"
        " 他们 这样 那样 这个 那个 每一 不能 没有 根据 因此 因为 如果 就是 作为 一种 这是 一个 大约 成为 于 到 地"
        " 得"
    ),
    Language.JA: frozenset(),
    Language.KO: _words(
        "이 그 저 한 두 세 네 이런 그런 저런 더 안 못 잘 가장 매우 아주 약 첫 몇 각 모든 새 내 제 또 및 등"
    ),
}
"""No breath after these. Of an elision ("qu'il") the part after the apostrophe counts."""

_TRAILING: dict[Language, frozenset[str]] = {
    Language.EN: frozenset(),
    Language.FR: frozenset(),
    Language.ES: frozenset(),
    Language.ZH: _words(
        "的 了 着 过 吗 呢 吧 啊 地 得 们 里 上 下 中 内 外 后 前 时 等 个 只 条 本 张 件 台 辆 种 名 次 天 年 月"
        " 日 分 秒 元 路 号 点 起来 出来 下来 下去 之 之一 一下 一些"
    ),
    Language.JA: frozenset(),
    Language.KO: _words(
        "은 는 이 가 을 를 의 에 에게 에서 도 와 과 으로 로 만 등 및 인 한 해 할 된 되 수 것 것은 것이 때 년 월"
        " 일 명 개 번"
    ),
}
"""No breath before these."""

_WORD_PART = re.compile(r"[^\W_]+\.?(?=\W*$)")
_HIRAGANA = re.compile("[\u3041-\u309f]")
_PARTICLES = "はがをにでとへもばて"
_JAPANESE_IDIOM = re.compile("に[対関]|と[思言]")


def gap_before(text: str, at: int, word: str, language: Language) -> Gap:
    """How well a breath fits into `text` before `word`, which begins at `at`; for scripts that write words apart."""
    last = text[:at].split()[-1:]
    if not last or not text[at - 1].isspace():
        return Gap.NONE
    before, word = last[0], word.strip("\"'“”«»()[]*_")
    part = _WORD_PART.search(before.lower())
    leans = part is not None and (part[0] in _LEANING[language] or part[0].rstrip(".") in _LEANING[language])
    if leans or word.lower() in _TRAILING[language] or before.endswith((".", "-")) or not word:
        return Gap.NONE
    if before[-1].isdigit() or word[0].isdigit():
        return Gap.NONE
    if before[0].isupper() and word[0].isupper() and not before.isupper():
        return Gap.NONE
    first = re.match(r"[^\W_]+", word)
    return Gap.PHRASE if first and first[0].lower() in _PHRASES[language] else Gap.WORD


def japanese_gap(text: str, at: int) -> Gap:
    """How well a breath fits before `text[at]`: a phrase begins with a kanji or katakana and ends with hiragana."""
    before = text[at - 1 : at]
    if before.isspace():
        return Gap.PHRASE
    # お and ご belong to what they honour, の to what it owns.
    if not _HIRAGANA.match(before) or _HIRAGANA.match(text[at]) or before in "おごの" or not text[at].isalnum():
        return Gap.NONE
    if _JAPANESE_IDIOM.match(text, at - 1):
        return Gap.NONE
    return Gap.PHRASE if before in _PARTICLES else Gap.WORD


def load_words() -> None:
    """The dictionary that Chinese needs takes a second to load: not while somebody waits for a clause."""
    _chinese_words("")


def chinese_gaps(text: str) -> dict[int, Gap]:
    """How well a breath fits at each of the boundaries between the words of `text`."""
    gaps, at, before = {}, 0, ""
    for word in _chinese_words(text):
        if before and not _goes_together(before, word):
            gaps[at] = Gap.PHRASE if word in _PHRASES[Language.ZH] else Gap.WORD
        at += len(word)
        before = word
    return gaps


def _chinese_words(text: str) -> list[str]:
    # Comes with the engines, and only Chinese needs it.
    from pipeline.chinese_words import chinese_words

    words: list[str] = chinese_words().lcut(text)
    return words


def _goes_together(before: str, word: str) -> bool:
    language = Language.ZH
    if before in _LEANING[language] or before[-1].isdigit() or word in _TRAILING[language] or word.isspace():
        return True
    return _is_latin(before) and _is_latin(word)


def _is_latin(word: str) -> bool:
    return word.isascii() and not word.isspace()
