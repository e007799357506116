"""Whisper through CTranslate2, on a window that fits the utterance.

Whisper was trained on windows of 30 s, and encoding one costs the same whatever was said. CTranslate2 takes shorter
ones, so an utterance is encoded in a window just longer than itself; too tight a window makes the model repeat itself,
which is why a window has a least length, and why an answer that runs away is decoded once more in the full one.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.audio import INPUT_RATE_HZ, FloatArray
from pipeline.languages import Language
from pipeline.stt.base import Transcript

FULL_WINDOW_S = 30.0

_HOP_SAMPLES = 160
# The customary limits of Whisper's decoders (openai/whisper, transcribe.py).
_LEAST_LOG_PROBABILITY = -1.0
_NO_SPEECH_PROBABILITY = 0.6
_MOST_COMPRESSION = 2.4
# Fast speech in any of the six languages stays well below this; an answer that reaches it has run away.
_TOKENS_PER_SECOND = 16
_TOKENS_AT_LEAST = 24
_DECODER_TOKENS = 440


class Whisper:
    """A multilingual Whisper in CTranslate2's form, greedy decoding, no temperature fall-back."""

    def __init__(self, folder: Path, *, threads: int, shortest_window_s: float, padding_s: float) -> None:
        import ctranslate2
        import tokenizers
        from faster_whisper.feature_extractor import FeatureExtractor

        self._model = ctranslate2.models.Whisper(str(folder), device="cpu", compute_type="int8", intra_threads=threads)
        self._tokenizer = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._features = FeatureExtractor(feature_size=80)
        self._storage = ctranslate2.StorageView
        self._shortest_window_s = shortest_window_s
        self._padding_s = padding_s

    def transcribe(self, samples_16k: FloatArray, languages: Sequence[Language]) -> Transcript:
        """See `SpeechToText`. Audio longer than a window is transcribed in pieces, cut where it is quietest."""
        pieces = _cut(samples_16k)
        first = self._transcribe_piece(pieces[0], languages)
        rest = [self._transcribe_piece(piece, [first.language]).text for piece in pieces[1:]]
        return Transcript(" ".join(filter(None, [first.text, *rest])), first.language)

    def _transcribe_piece(self, samples_16k: FloatArray, languages: Sequence[Language]) -> Transcript:
        seconds = samples_16k.size / INPUT_RATE_HZ
        window_s = min(max(self._shortest_window_s, seconds + self._padding_s), FULL_WINDOW_S)
        encoded = self._encode(samples_16k, window_s)
        language = languages[0] if len(languages) == 1 else self._detect(encoded, languages)
        tokens, result = self._decode(encoded, language, seconds)
        text = self._tokenizer.decode(tokens).strip()
        if window_s < FULL_WINDOW_S and _ran_away(text, tokens, seconds):
            tokens, result = self._decode(self._encode(samples_16k, FULL_WINDOW_S), language, seconds)
            text = self._tokenizer.decode(tokens).strip()
        if result.no_speech_prob > _NO_SPEECH_PROBABILITY and result.scores[0] < _LEAST_LOG_PROBABILITY:
            text = ""
        return Transcript(text, language)

    def _encode(self, samples_16k: FloatArray, window_s: float) -> Any:
        window = np.zeros(int(window_s * INPUT_RATE_HZ) // _HOP_SAMPLES * _HOP_SAMPLES, dtype=np.float32)
        window[: samples_16k.size] = samples_16k
        frames = self._features(window, padding=0)[:, : window.size // _HOP_SAMPLES]
        return self._model.encode(self._storage.from_array(np.ascontiguousarray(frames[None], dtype=np.float32)))

    def _detect(self, encoded: Any, languages: Sequence[Language]) -> Language:
        probabilities = dict(self._model.detect_language(encoded)[0])
        return max(languages, key=lambda language: probabilities.get(f"<|{language}|>", 0.0))

    def _decode(self, encoded: Any, language: Language, seconds: float) -> tuple[list[int], Any]:
        prompt = ["<|startoftranscript|>", f"<|{language}|>", "<|transcribe|>", "<|notimestamps|>"]
        (result,) = self._model.generate(
            encoded,
            [[self._tokenizer.token_to_id(token) for token in prompt]],
            beam_size=1,
            max_length=min(_token_budget(seconds) + len(prompt), _DECODER_TOKENS),
            return_scores=True,
            return_no_speech_prob=True,
        )
        return list(result.sequences_ids[0]), result


def _token_budget(seconds: float) -> int:
    return _TOKENS_AT_LEAST + int(seconds * _TOKENS_PER_SECOND)


def _ran_away(text: str, tokens: list[int], seconds: float) -> bool:
    """Repetition, by the two signs that catch it: no end within the budget, or a text that compresses too well."""
    encoded = text.encode()
    return len(tokens) >= _token_budget(seconds) or (
        len(encoded) > 0 and len(encoded) / len(zlib.compress(encoded)) > _MOST_COMPRESSION
    )


def _cut(samples_16k: FloatArray) -> list[FloatArray]:
    """Pieces that fit the full window with room to spare, each ending where its last five seconds are quietest."""
    longest = int((FULL_WINDOW_S - 1.0) * INPUT_RATE_HZ)
    tenth = INPUT_RATE_HZ // 10
    pieces = []
    while samples_16k.size > longest:
        tail = samples_16k[longest - 50 * tenth : longest].reshape(50, tenth)
        cut = longest - (50 - int(np.argmin(np.square(tail).mean(axis=1)))) * tenth + tenth // 2
        pieces.append(samples_16k[:cut])
        samples_16k = samples_16k[cut:]
    pieces.append(samples_16k)
    return pieces
