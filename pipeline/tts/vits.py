"""Korean through transformers' VITS: `facebook/mms-tts-kor` (Pratap et al. 2023, arXiv:2305.13516)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import soxr
import torch
from transformers import VitsModel, VitsTokenizer
from uroman import Uroman

from pipeline.audio import OUTPUT_RATE_HZ, FloatArray
from pipeline.languages import Language
from pipeline.stopping import Stop
from pipeline.torch_stopping import Stoppable
from pipeline.tts.mastering import master, pause_after
from pipeline.tts.speakable import speakable

_VOICE = "mms-kor"
_VOICES: dict[Language, tuple[str, ...]] = {Language.KO: (_VOICE,)}
_RMS = 10 ** (-23 / 20)
"""Of what is audible; speech of it has about -23 LUFS, as Kokoro's voices."""
_AUDIBLE = 10 ** (-45 / 20)
_MOST_GAIN = 10.0
_SEED = 0


class Vits:
    """Satisfies `pipeline.tts.base.TextToSpeech`. The same text is always spoken the same way."""

    voices = _VOICES

    def __init__(self, folder: Path, *, device: str) -> None:
        """Raises `OSError`: files of the model are missing in `folder`."""
        self._model = VitsModel.from_pretrained(folder, local_files_only=True).to(device).eval()
        self._tokenizer = VitsTokenizer.from_pretrained(folder, local_files_only=True)
        # The tokenizer would read the tables of the romaniser, which takes seconds, for every text anew.
        self._romaniser = Uroman()
        self._stoppable = Stoppable(self._model)
        self._device = torch.device(device)

    def speak(self, text: str, language: Language, voice: str, *, speed: float, stop: Stop) -> Iterator[FloatArray]:
        """As in `TextToSpeech`. Nothing is heard before all of a clause is made; a stop takes effect within it.

        Raises:
            ValueError: another language than Korean, or another voice than `mms-kor`.
        """
        if voice not in self.voices.get(language, ()):
            raise ValueError(f"no voice {voice!r} in {language!s}: VITS speaks ko here, with the voice {_VOICE}")
        said = speakable(text, language)
        tokens = self._tokenizer(self._romaniser.romanize_string(said)).input_ids if said else []
        if any(token != self._tokenizer.pad_token_id for token in tokens):
            raw = self._speech(tokens, speed, stop)
            samples_24k = soxr.resample(raw, self._model.config.sampling_rate, OUTPUT_RATE_HZ)
            yield from master([samples_24k], gain=_gain(samples_24k), pause_s=pause_after(said))

    def _speech(self, tokens: list[int], speed: float, stop: Stop) -> FloatArray:
        devices = [self._device] if self._device.type == "cuda" else []
        with torch.inference_mode(), torch.random.fork_rng(devices), self._stoppable.by(stop):
            torch.manual_seed(_SEED)
            made = self._model(torch.tensor([tokens], device=self._device), speaking_rate=speed).waveform[0]
        samples: FloatArray = made.float().cpu().numpy()
        return samples


def _gain(samples: FloatArray) -> float:
    audible = samples[np.abs(samples) > _AUDIBLE]
    return min(_RMS / float(np.sqrt(np.mean(np.square(audible)))), _MOST_GAIN) if audible.size else 1.0
