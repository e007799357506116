"""Whisper through CTranslate2: the reference with which the engine in `pipeline.stt.whisper` is compared.

It writes every token anew, whatever the draft, and looks at `stop` only between encoding and decoding.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.audio import FloatArray
from pipeline.languages import Language
from pipeline.stopping import Stop
from pipeline.stt.base import Transcript
from pipeline.stt.windows import FULL_WINDOW_S, cut, is_no_speech, mel_frames, ran_away, token_budget, window_s


class FasterWhisper:
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

    def transcribe(
        self, samples_16k: FloatArray, languages: Mapping[Language, float], *, draft: Transcript | None, stop: Stop
    ) -> Transcript:
        """See `SpeechToText`. Audio longer than a window is transcribed in pieces, cut where it is quietest."""
        pieces = cut(samples_16k)
        first = self._transcribe_piece(pieces[0], languages, stop)
        rest = [self._transcribe_piece(piece, {first.language: 1.0}, stop) for piece in pieces[1:]]
        text = " ".join(filter(None, (piece.text for piece in (first, *rest))))
        return Transcript(text, first.language, confidence=(rest or [first])[-1].confidence)

    def _transcribe_piece(self, samples_16k: FloatArray, languages: Mapping[Language, float], stop: Stop) -> Transcript:
        seconds = window_s(samples_16k, shortest_s=self._shortest_window_s, padding_s=self._padding_s)
        encoded = self._encode(samples_16k, seconds)
        stop.check()
        language = next(iter(languages)) if len(languages) == 1 else self._detect(encoded, languages)
        most = token_budget(samples_16k)
        tokens, result = self._decode(encoded, language, most)
        text = self._tokenizer.decode(tokens).strip()
        if seconds < FULL_WINDOW_S and ran_away(text, tokens, samples_16k):
            stop.check()
            tokens, result = self._decode(self._encode(samples_16k, FULL_WINDOW_S), language, most)
            text = self._tokenizer.decode(tokens).strip()
        stop.check()
        if is_no_speech(math.log(max(result.no_speech_prob, 1e-9)), result.scores[0]):
            text = ""
        return Transcript(text, language, confidence=math.exp(result.scores[0]))

    def _encode(self, samples_16k: FloatArray, seconds: float) -> Any:
        return self._model.encode(self._storage.from_array(mel_frames(self._features, samples_16k, seconds)))

    def _detect(self, encoded: Any, languages: Mapping[Language, float]) -> Language:
        heard = dict(self._model.detect_language(encoded)[0])
        return max(languages, key=lambda language: heard.get(f"<|{language}|>", 0.0) * languages[language])

    def _decode(self, encoded: Any, language: Language, most: int) -> tuple[list[int], Any]:
        prompt = ["<|startoftranscript|>", f"<|{language}|>", "<|transcribe|>", "<|notimestamps|>"]
        (result,) = self._model.generate(
            encoded,
            [[self._tokenizer.token_to_id(token) for token in prompt]],
            beam_size=1,
            max_length=most + len(prompt),
            return_scores=True,
            return_no_speech_prob=True,
        )
        return list(result.sequences_ids[0]), result
