"""Kokoro-82M v1.0: English, French, Spanish, Chinese and Japanese.

The model takes the sounds of a clause, at most 510 of them, plans it, and makes it into sound stretch by stretch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.audio import FloatArray
from pipeline.languages import Language
from pipeline.stopping import Stop
from pipeline.tts.kokoro.model import FADING_TAIL, STEP_SAMPLES
from pipeline.tts.kokoro.network import Network
from pipeline.tts.kokoro.normalisation import read_statistics
from pipeline.tts.kokoro.windows import windows
from pipeline.tts.mastering import master, pause_after
from pipeline.tts.phonemes import Phonemizer
from pipeline.tts.phonemes.vocabulary import VOCABULARY
from pipeline.tts.speakable import speakable

MODEL_FILE = "kokoro-v1.0.int8.onnx"

VOICES: dict[Language, tuple[str, ...]] = {
    Language.EN: ("af_heart", "am_michael"),
    Language.FR: ("ff_siwis",),
    Language.ES: ("ef_dora",),
    Language.ZH: ("zf_xiaobei",),
    Language.JA: ("jf_alpha",),
}
# Measured over sentences of each voice; brings all of them to -23 LUFS, the level of EBU R 128.
_GAIN_DB = {"af_heart": -0.3, "am_michael": 0.8, "ff_siwis": -3.6, "ef_dora": 0.6, "zf_xiaobei": -3.0, "jf_alpha": -3.1}
_MAX_SOUNDS = 510
# The styles for fewer sounds are each of their own kind. With this one a short clause sounds like the longer ones that
# follow it, is understood as well, and has their statistics (`normalisation.py`).
_SHORTEST_STYLE = 60
_STYLE_SIZE = 256
_MARKS = ".!?,;:—… "
_JOINT = 120  # samples over which a stretch passes into the next
_EDGE = 0  # the number before the first and after the last sound


class Kokoro:
    """Satisfies `pipeline.tts.base.TextToSpeech`.

    `folder` holds the model and `voices/NAME.bin`: float32, shape (510, 1, 256), one row for each number of sounds.
    """

    voices = VOICES

    def __init__(self, folder: Path, network: Callable[[Path], Network]) -> None:
        """Load all of it, dictionaries and voices too, so that no first sentence waits.

        Args:
            network: makes it of the model's file.

        Raises:
            FileNotFoundError: the model or a voice is not in `folder`.
        """
        self._network = network(_existing(folder / MODEL_FILE))
        names = [name for names in VOICES.values() for name in names]
        self._styles = {name: read_voice(folder, name) for name in names}
        self._statistics = {name: read_statistics(name) for name in names}
        self._phonemes = Phonemizer()

    def speak(self, text: str, language: Language, voice: str, *, speed: float, stop: Stop) -> Iterator[FloatArray]:
        """As in `TextToSpeech`; the model is not asked before the first piece is.

        Raises:
            ValueError: a language it does not speak, or a voice that language does not have.
        """
        if voice not in self.voices.get(language, ()):
            raise ValueError(_no_voice(self.voices, language, voice))
        said = speakable(text, language)
        for sounds in fit(self._phonemes(said, language)):
            gain = 10 ** (_GAIN_DB[voice] / 20)
            yield from master(self.stretches(sounds, voice, speed, stop), gain=gain, pause_s=pause_after(sounds))

    def stretches(self, sounds: str, voice: str, speed: float, stop: Stop) -> Iterator[FloatArray]:
        """The raw sound of at most 510 `sounds`, as it is made; the stretches join without seams. Raises `Stopped`."""
        inputs = model_inputs(sounds, self._styles[voice], speed)
        plan, steps = self._network.plan(inputs, stop)
        beyond = np.zeros(0, np.float32)  # what the stretch before said of the beginning of this one
        for window in windows(steps):
            samples = self._network.sound(plan, window, inputs["style"], self._statistics[voice], stop)
            made = samples[(window.first - window.begin) * STEP_SAMPLES :]
            size = (window.last - window.first) * STEP_SAMPLES
            fade = np.linspace(0.0, 1.0, beyond.size, dtype=np.float32)
            made[: beyond.size] = beyond * (1 - fade) + made[: beyond.size] * fade
            beyond = made[size : size + _JOINT].copy()
            yield made[:size]


def model_inputs(sounds: str, style: FloatArray, speed: float) -> dict[str, npt.NDArray[Any]]:
    """What the model is asked for at most 510 `sounds` of `VOCABULARY`, in the voice that `style` describes."""
    return {
        "tokens": np.array([[_EDGE, *(VOCABULARY[sound] for sound in sounds), _EDGE]], np.int64),
        "style": style[max(len(sounds), _SHORTEST_STYLE) - 1],
        "speed": np.array([speed], np.float32),
        FADING_TAIL: np.array([len(sounds) - len(sounds.rstrip(_MARKS)) + 2], np.int64),
    }


def fit(sounds: str) -> Iterator[str]:
    """Cut sounds to what the model takes at once: after a full stop if there is one, else a comma, else a word."""
    while len(sounds) > _MAX_SOUNDS:
        head = sounds[:_MAX_SOUNDS]
        cut = next((at + 1 for marks in (".!?…", ",;:—", " ") if (at := max(map(head.rfind, marks))) > 0), _MAX_SOUNDS)
        yield sounds[:cut].strip()
        sounds = sounds[cut:].strip()
    if any(sound.isalpha() for sound in sounds):
        yield sounds


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing; `s2s weights pull` brings Kokoro's model and voices")
    return path


def read_voice(folder: Path, name: str) -> FloatArray:
    """A voice's style for each number of sounds: float32, shape (510, 1, 256).

    Raises:
        FileNotFoundError: it is not in `folder`.
    """
    path = _existing(folder / "voices" / f"{name}.bin")
    return np.fromfile(path, dtype="<f4").reshape(_MAX_SOUNDS, 1, _STYLE_SIZE)


def _no_voice(voices: dict[Language, tuple[str, ...]], language: Language, voice: str) -> str:
    if language not in voices:
        return f"no speech in {language!s}: Kokoro speaks {', '.join(voices)}; espeak-ng speaks ko"
    return f"no voice {voice!r} in {language!s}; choose one of {', '.join(voices[language])}"
