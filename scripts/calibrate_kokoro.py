"""Measures the ranges by which Kokoro's convolutions are quantised: `pipeline/tts/kokoro/ranges.npz`.

    python scripts/calibrate_kokoro.py

Runs the published model over sentences of each voice and keeps, for each output channel of each convolution, the
largest absolute value seen.
"""

from __future__ import annotations

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
    names = [convolution.result for convolution in decoder_convolutions(GraphEditor(model))]
    model.graph.output.extend(helper.make_empty_tensor_value_info(name) for name in names)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    phonemes = Phonemizer()
    asked = [
        (phonemes(sentence, language), read_voice(folder, voice))
        for language, voices in VOICES.items()
        for voice in voices
        for sentence in SENTENCES[language]
    ]
    largest: dict[str, FloatArray] = {}
    for sounds, style in track(asked, "speaking"):
        outputs = session.run(names, model_inputs(sounds, style, 1.0))
        for name, output in zip(names, outputs, strict=True):
            reached = np.abs(output).max(axis=(0, 2))
            largest[name] = np.maximum(largest.get(name, reached), reached)
    np.savez_compressed(RANGES_FILE, **{name: reached.astype(np.float16) for name, reached in largest.items()})


if __name__ == "__main__":
    main()
