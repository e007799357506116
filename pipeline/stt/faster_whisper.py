"""Whisper through CTranslate2, on a CPU or a GPU; and the reference with which `pipeline.stt.whisper` is compared.

It writes every token anew, whatever the draft, and cannot tell where a sentence ends.
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

_RUN = 8
"""CTranslate2 cannot be stopped while it writes, so it is asked for so many tokens at a time."""


class FasterWhisper:
    """A multilingual Whisper in CTranslate2's form, greedy decoding, no temperature fall-back."""

    def __init__(
        self,
        folder: Path,
        *,
        device: str,
        compute_type: str,
        threads: int,
        shortest_window_s: float,
        padding_s: float,
    ) -> None:
        import ctranslate2
        import tokenizers
        from faster_whisper.feature_extractor import FeatureExtractor

        self._model = ctranslate2.models.Whisper(
            str(folder), device=device, compute_type=compute_type, intra_threads=threads
        )
        self._tokenizer = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._features = FeatureExtractor(feature_size=self._model.n_mels)
        self._storage = ctranslate2.StorageView
        self._shortest_window_s = shortest_window_s
        self._padding_s = padding_s

    def transcribe(
        self,
        samples_16k: FloatArray,
        languages: Mapping[Language, float],
        *,
        draft: Transcript | None,
        quick: bool = True,
        stop: Stop,
    ) -> Transcript:
        """See `SpeechToText`. Audio longer than a window is transcribed in pieces, cut where it is quietest."""
        pieces = cut(samples_16k)
        first = self._transcribe_piece(pieces[0], languages, stop)
        rest = [self._transcribe_piece(piece, {first.language: 1.0}, stop) for piece in pieces[1:]]
        text = " ".join(filter(None, (piece.text for piece in (first, *rest))))
        return Transcript(text, first.language, confidence=(rest or [first])[-1].confidence)

    def _transcribe_piece(self, samples_16k: FloatArray, languages: Mapping[Language, float], stop: Stop) -> Transcript:
        seconds = window_s(samples_16k, shortest_s=self._shortest_window_s, padding_s=self._padding_s)
        encoded = self._encode(samples_16k, seconds, stop)
        language = next(iter(languages)) if len(languages) == 1 else self._detect(encoded, languages)
        most = token_budget(samples_16k)
        tokens, log_probability, no_speech = self._decode(encoded, language, most, stop)
        text = self._tokenizer.decode(tokens).strip()
        if seconds < FULL_WINDOW_S and ran_away(text, tokens, samples_16k):
            encoded = self._encode(samples_16k, FULL_WINDOW_S, stop)
            tokens, log_probability, no_speech = self._decode(encoded, language, most, stop)
            text = self._tokenizer.decode(tokens).strip()
        if is_no_speech(math.log(max(no_speech, 1e-9)), log_probability):
            text = ""
        return Transcript(text, language, confidence=math.exp(log_probability))

    def _encode(self, samples_16k: FloatArray, seconds: float, stop: Stop) -> Any:
        stop.check()
        return self._model.encode(self._storage.from_array(mel_frames(self._features, samples_16k, seconds)))

    def _detect(self, encoded: Any, languages: Mapping[Language, float]) -> Language:
        heard = dict(self._model.detect_language(encoded)[0])
        return max(languages, key=lambda language: heard.get(f"<|{language}|>", 0.0) * languages[language])

    def _decode(self, encoded: Any, language: Language, most: int, stop: Stop) -> tuple[list[int], float, float]:
        """The tokens; their mean log probability; and the probability that there is no speech."""
        names = ["<|startoftranscript|>", f"<|{language}|>", "<|transcribe|>", "<|notimestamps|>"]
        prompt = [self._tokenizer.token_to_id(name) for name in names]
        tokens: list[int] = []
        total, no_speech, over = 0.0, 0.0, False
        while not over:
            stop.check()
            wanted = min(len(tokens) + _RUN, most)
            # It gives at most half of max_length, what it was given to begin with among it; and its score is the mean
            # over all of that, in which what it was given counts as certain.
            (result,) = self._model.generate(
                encoded,
                [prompt + tokens],
                beam_size=1,
                max_length=2 * wanted,
                suppress_blank=not tokens,  # or it could not end where it begins
                return_scores=True,
                return_no_speech_prob=True,
            )
            (written,) = result.sequences_ids
            total += result.scores[0] * len(written)
            no_speech = no_speech if tokens else result.no_speech_prob
            over = len(written) < wanted or wanted == most
            tokens = written
        return tokens, total / max(len(tokens), 1), no_speech
