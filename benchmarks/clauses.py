"""`clauses`: how much a reply loses by being spoken in clauses, and how soon its first clause can be heard.

Speaks sentences in clauses, as the server does, and whole; a recogniser is asked what each says. Half of the sentences
are replies as a language model writes them, half have no punctuation, as what `echo` repeats.
"""

from __future__ import annotations

from functools import partial

import click
import numpy as np
import soxr
from rich.console import Console
from rich.table import Table

from benchmarks.callers import progress
from harness import judge
from harness.measures import words
from pipeline.audio import OUTPUT_RATE_HZ, FloatArray
from pipeline.clauses import ClauseSplitter
from pipeline.languages import Language
from pipeline.stopping import Stop
from pipeline.tts.kokoro import VOICES, Kokoro
from pipeline.tts.kokoro.onnx_network import OnnxNetwork
from pipeline.weights import WeightStore

SENTENCES: dict[Language, tuple[str, ...]] = {
    Language.EN: (
        "Sure, I can help you with that. What would you like to know about the history of Rome?",
        "The capital of France is Paris, and about two million people live there.",
        "I'm sorry to hear that you are not feeling well today.",
        "Photosynthesis is the process by which plants turn sunlight into food.",
        "You can find a good recipe for tomato soup in almost every cookbook.",
        "That's a great question! The moon moves around the earth in about twenty seven days.",
        "twentieth century research has shown that there are two pools of genetic variation hidden and expressed",
        "the cabbage juice changes color depending on how acidic or basic the chemical is",
        "the child almost hurt the small dog",
        "he began a confused complaint against the wizard who had vanished behind the curtain on the left",
        "could you remind me to call my sister tomorrow morning",
        "sunday is the best part of the week",
    ),
    Language.FR: (
        "Bien sûr, je peux vous aider. Que voulez-vous savoir sur l'histoire de Rome ?",
        "La capitale de la France est Paris, et environ deux millions de personnes y vivent.",
        "Je suis désolé d'apprendre que vous n'allez pas bien aujourd'hui.",
        "La photosynthèse est le processus par lequel les plantes transforment la lumière en nourriture.",
        "Vous trouverez une bonne recette de soupe à la tomate dans presque tous les livres de cuisine.",
        "C'est une excellente question ! La lune tourne autour de la terre en vingt-sept jours environ.",
        "les deux autres sont situés au bord de la mer jaune",
        "l'accident a eu lieu en terrain montagneux et il semble que cela ait été causé par un incendie malveillant",
        "le rugissement du tigre ne ressemble pas au rugissement ample du lion",
        "sous le consulat il devient conservateur des eaux et forêts et conseiller général",
        "malheureusement il est difficile d'étudier le flux car le comportement des conducteurs ne peut être prédit",
        "peux-tu me rappeler d'appeler ma sœur demain matin",
    ),
    Language.ES: (
        "Claro, puedo ayudarte con eso. ¿Qué te gustaría saber sobre la historia de Roma?",
        "La capital de Francia es París, y allí viven unos dos millones de personas.",
        "Siento mucho que hoy no te encuentres bien.",
        "La fotosíntesis es el proceso por el cual las plantas convierten la luz del sol en alimento.",
        "Puedes encontrar una buena receta de sopa de tomate en casi todos los libros de cocina.",
        "¡Muy buena pregunta! La luna gira alrededor de la tierra en unos veintisiete días.",
        "las arenas son blanquecinas de grano medio y tiene muy poca asistencia",
        "hoy en día las personas escriben mensajes en las pantallas de sus computadoras",
        "fue tanta la cantidad de gente que no todos pudieron acceder al funeral en la plaza de san pedro",
        "se recomienda a los viajeros que se informen sobre cualquier riesgo de clima extremo en el área que visitan",
        "entre los fenómenos climáticos extremos encontramos los ventarrones y las tormentas de nieve",
        "puedes recordarme que llame a mi hermana mañana por la mañana",
    ),
    Language.ZH: (
        "当然可以，我来帮助你。你想了解罗马历史的哪些方面？",
        "法国的首都是巴黎，那里大约有两百万人口。",
        "听说你今天身体不舒服，我感到很难过。",
        "光合作用是植物把阳光转变成食物的过程。",
        "你几乎可以在每一本菜谱里找到番茄汤的做法。",
        "这是一个很好的问题！月亮绕地球转一圈大约需要二十七天。",
        "就是根据经济体自身情况决定房价上涨或者下跌",
        "支撑房地产的刚需在持续萎缩",
        "因此直接派发目前只能作为一种转移支付的辅助形式",
        "东京奥运组委会正式承认盗用他人照片后",
        "欢迎大家来体验达摩院推出的语音识别模型",
        "你能提醒我明天早上给姐姐打电话吗",
    ),
    Language.JA: (
        "もちろん、お手伝いします。ローマの歴史について何を知りたいですか。",
        "フランスの首都はパリで、約二百万人が住んでいます。",
        "今日は体の調子が良くないと聞いて、とても残念です。",
        "光合成とは、植物が太陽の光を栄養に変える働きのことです。",
        "トマトスープの作り方は、ほとんどの料理の本に載っています。",
        "とても良い質問ですね。月は約二十七日で地球のまわりを一周します。",
        "それで海の中へ落ちたことがはじめてわかりました",
        "王もこのやり方は喜んでいません",
        "昨日友達と一緒に東京の大きな公園でゆっくりと散歩をしました",
        "客観的実在の判断的知識が成立するのである",
        "復興努力に対する批判ではワシントンの内部関係者と思われる人物と契約を交わしたことに焦点を当てています",
        "明日の朝妹に電話するように教えてください",
    ),
}


@click.command()
@click.option(
    "--language",
    "languages",
    multiple=True,
    type=click.Choice([language.value for language in SENTENCES]),
    help="Only these.",
)
@click.option("--show", is_flag=True, help="Print each sentence's clauses and what was understood of them.")
def clauses(languages: tuple[str, ...], show: bool) -> None:
    """Measure replies spoken in clauses against replies spoken whole."""
    console = Console()
    kokoro = Kokoro(WeightStore().path("kokoro"), partial(OnnxNetwork, threads=2))
    listener = judge.load()
    table = Table("language", "sentences", "whole", "in clauses", "clauses", "first clause, s", "longest first, s")
    with progress() as bar:
        for language in map(Language, languages or SENTENCES):
            heard_whole, heard_clauses, first_s, count = [], [], [], 0
            for text in bar.track(SENTENCES[language], description=language):
                parts = clauses_of(text, language)
                spoken = [speak(kokoro, clause, language) for clause in parts]
                first_s.append(spoken[0].size / OUTPUT_RATE_HZ)
                count += len(parts)
                whole = understood(listener, speak(kokoro, text, language), language)
                joined = understood(listener, np.concatenate(spoken), language)
                heard_whole.append(words.compare(text, whole, language).counts)
                heard_clauses.append(words.compare(text, joined, language).counts)
                if show:
                    console.print(
                        f"{first_s[-1]:.2f} s  {' | '.join(parts)}\n        whole: {whole}\n      clauses: {joined}"
                    )
            table.add_row(
                language,
                str(len(first_s)),
                error_rate(heard_whole),
                error_rate(heard_clauses),
                f"{count / len(first_s):.1f}",
                f"{np.mean(first_s):.2f}",
                f"{np.max(first_s):.2f}",
            )
    console.print(table)


def clauses_of(text: str, language: Language) -> list[str]:
    splitter = ClauseSplitter(language)
    return splitter.push(text) + splitter.finish()


def speak(kokoro: Kokoro, text: str, language: Language) -> FloatArray:
    """Float32 mono, shape (samples,), 24 kHz."""
    pieces = kokoro.speak(text, language, VOICES[language][0], speed=1.0, stop=Stop())
    return np.concatenate(list(pieces))


def understood(listener: judge.Judge, samples_24k: FloatArray, language: Language) -> str:
    return listener.transcribe(soxr.resample(samples_24k, OUTPUT_RATE_HZ, 16_000), language)


def error_rate(counts: list[words.Errors]) -> str:
    total = words.total(counts)
    return f"{total.errors / total.units:.1%}"
