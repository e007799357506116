"""Measures what Kokoro's edited graph has to know beforehand, and writes it beside its code.

    python scripts/calibrate_kokoro.py

Runs the published model over sentences of each voice. `ranges.npz`: for each output channel of each convolution, the
largest absolute value seen, by which it is quantised. `statistics.npz`: for each voice the means and variances of the
generator's normalisations, averaged over its sentences, each weighed by its length.
"""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import onnx
import onnxruntime
from onnx import helper
from rich.progress import track

from pipeline.audio import FloatArray
from pipeline.languages import Language
from pipeline.tts.kokoro import MODEL_FILE, VOICES, model_inputs, read_voice
from pipeline.tts.kokoro.convolutions import RANGES_FILE, decoder_convolutions
from pipeline.tts.kokoro.graph import GraphEditor
from pipeline.tts.kokoro.normalisation import (
    CHANNELS,
    STATISTICS_FILE,
    generator_normalisations,
    statistics_names,
)
from pipeline.tts.kokoro.silence import leave_out_silence
from pipeline.tts.phonemes import Phonemizer
from pipeline.weights import WeightStore

# Short and long, asking and telling, with the sounds that are far from the rest: hisses, bursts, nasals, numbers.
SENTENCES: dict[Language, tuple[str, ...]] = {
    Language.EN: (
        "Sure.",
        "Yes, of course!",
        "I'm sorry, I did not catch that.",
        "What is the capital of France, and how many people live there?",
        "She sells sea shells, and that costs three hundred and sixty-six dollars.",
        "Photosynthesis turns sunlight, water and carbon dioxide into sugar, which is what most living things feed on.",
    ),
    Language.FR: (
        "Oui.",
        "Bien sûr, avec plaisir !",
        "Je suis désolé, je n'ai pas compris.",
        "Quelle est la capitale de l'Espagne, et combien d'habitants y vivent ?",
        "Un chasseur sachant chasser doit savoir chasser sans son chien, mille neuf cent quatre-vingt-dix fois.",
        "La lune tourne autour de la terre en un peu plus de vingt-sept jours, et nous montre toujours la même face.",
    ),
    Language.ES: (
        "Sí.",
        "¡Claro que sí, con mucho gusto!",
        "Lo siento, no te he entendido.",
        "¿Cuál es la capital de Francia, y cuántas personas viven allí?",
        "El perro de San Roque no tiene rabo, y cuesta trescientos sesenta y seis pesos.",
        "La luna gira alrededor de la tierra en poco más de veintisiete días, y siempre nos muestra la misma cara.",
    ),
    Language.ZH: (
        "好。",
        "当然可以！",
        "对不起，我没有听清楚。",
        "法国的首都是哪里，那里有多少人口？",
        "四是四，十是十，一共三百六十六块钱。",
        "月亮绕着地球转一圈需要二十七天多一点，而且总是用同一面对着我们。",
    ),
    Language.JA: (
        "はい。",
        "もちろんです！",
        "すみません、よく聞こえませんでした。",
        "フランスの首都はどこですか。人口はどのくらいですか。",
        "生麦生米生卵、全部で三百六十六円です。",
        "月は二十七日あまりで地球のまわりを一周し、いつも同じ面をこちらに向けています。",
    ),
}


def main() -> None:
    folder = WeightStore().path("kokoro")
    model = onnx.load(folder / MODEL_FILE)
    leave_out_silence(model.graph)
    editor = GraphEditor(model)
    samples = model.graph.output[0].name
    convolutions = [convolution.result for convolution in decoder_convolutions(editor)]
    normalised = statistics_names(generator_normalisations(editor))
    names = [samples, *convolutions, *normalised]
    model.graph.output.extend(helper.make_empty_tensor_value_info(name) for name in names[1:])
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    phonemes = Phonemizer()
    asked = [
        (voice, phonemes(sentence, language), read_voice(folder, voice))
        for language, voices in VOICES.items()
        for voice in voices
        for sentence in SENTENCES[language]
    ]
    largest: dict[str, FloatArray] = {}
    measured: defaultdict[str, list[FloatArray]] = defaultdict(list)
    lengths: defaultdict[str, list[int]] = defaultdict(list)
    channels: list[int] = []
    for voice, sounds, style in track(asked, "speaking"):
        outputs = dict(zip(names, session.run(names, model_inputs(sounds, style, 1.0)), strict=True))
        for name in convolutions:
            reached = np.abs(outputs[name]).max(axis=(0, 2))
            largest[name] = np.maximum(largest.get(name, reached), reached)
        channels = [outputs[name].size for name in normalised]
        measured[voice].append(np.concatenate([outputs[name].reshape(-1) for name in normalised]))
        lengths[voice].append(outputs[samples].size)
    np.savez_compressed(RANGES_FILE, **{name: reached.astype(np.float16) for name, reached in largest.items()})
    averages = {voice: np.average(of, axis=0, weights=lengths[voice]) for voice, of in measured.items()}
    np.savez_compressed(
        STATISTICS_FILE,
        **{CHANNELS: np.array(channels)},
        **{voice: average.astype(np.float32) for voice, average in averages.items()},
    )


if __name__ == "__main__":
    main()
