"""Whisper, on a window that fits the utterance, and from a draft where there is one.

It is decoded here and not by a library, because a transcript is wanted again and again while somebody speaks: what the
transcript before found is checked in one run and not written anew, a run can be stopped in the middle, and every token
comes with the probability that the sentence ends there. What runs the two halves of the model is `network.py`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from pipeline.audio import FloatArray
from pipeline.languages import Language
from pipeline.stopping import Stop
from pipeline.stt.base import Transcript
from pipeline.stt.whisper.decoding import Decoded, Decoder
from pipeline.stt.whisper.network import Network
from pipeline.stt.windows import (
    FULL_WINDOW_S,
    cut,
    fastest_tokens,
    is_no_speech,
    mel_frames,
    ran_away,
    token_budget,
    window_s,
)

_SENTENCE_MARKS = frozenset(".!?。！？")
_MARKS = _SENTENCE_MARKS | frozenset(",;:…、，；：-—–'\"”’»）)")
_NO_SPEECH = ("<|nospeech|>", "<|nocaptions|>")
"""Its later and its earlier name."""
_LONGEST_MARK = 9  # letters of a token that spells marks, in the tokenizer's spelling of bytes


class Whisper:
    """A multilingual Whisper, greedy, without temperature fall-back. Satisfies `pipeline.stt.base.SpeechToText`."""

    def __init__(
        self,
        folder: Path,
        network: Callable[[Path, Sequence[int], Sequence[int]], Network],
        *,
        shortest_window_s: float,
        padding_s: float,
    ) -> None:
        """Args:
        folder: holds the `tokenizer.json` of a multilingual Whisper, and what the network needs.
        network: makes it of the folder, the `named` and the `ends` of `pipeline.stt.whisper.network.Tokens`.
        """
        import tokenizers
        from faster_whisper.feature_extractor import FeatureExtractor

        self._tokenizer = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
        end_of_text = self._token("<|endoftext|>")
        marks = self._marks()
        self._marks_tokens = frozenset(token for token, text in marks.items() if set(text) <= _MARKS)
        ends = [token for token, text in marks.items() if set(text) <= _SENTENCE_MARKS and "..." not in text]
        self._languages = {language: self._token(f"<|{language}|>") for language in Language}
        named = [*self._languages.values(), self._token(*_NO_SPEECH)]
        self._network = network(folder, named, [*ends, end_of_text])
        self._features = FeatureExtractor(feature_size=self._network.mels)
        self._decoder = Decoder(self._network, end_of_text)
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
        if len(pieces) > 1:
            draft = None
        heard = self._transcribe(pieces[0], languages, draft, quick, stop)
        texts = [heard.text]
        for piece in pieces[1:]:
            heard = self._transcribe(piece, {heard.language: 1.0}, None, quick, stop)
            texts.append(heard.text)
        return Transcript(
            " ".join(filter(None, texts)), heard.language, heard.ends, heard.confidence, tokens=heard.tokens
        )

    def _transcribe(
        self,
        samples_16k: FloatArray,
        languages: Mapping[Language, float],
        draft: Transcript | None,
        quick: bool,
        stop: Stop,
    ) -> Transcript:
        seconds = window_s(samples_16k, shortest_s=self._shortest_window_s, padding_s=self._padding_s)
        transcript, away = self._in_window(samples_16k, seconds, languages, draft, quick, stop)
        if away and seconds < FULL_WINDOW_S:
            transcript, _ = self._in_window(samples_16k, FULL_WINDOW_S, languages, None, quick, stop)
        return transcript

    def _in_window(
        self,
        samples_16k: FloatArray,
        seconds: float,
        languages: Mapping[Language, float],
        draft: Transcript | None,
        quick: bool,
        stop: Stop,
    ) -> tuple[Transcript, bool]:
        """What is understood in a window of this length, and whether it ran away."""
        mel = mel_frames(self._features, samples_16k, seconds)
        heard = self._network.hear(mel, stop, quick=quick)
        guess = (
            draft.language if draft and draft.language in languages else max(languages, key=lambda one: languages[one])
        )
        most, fastest = token_budget(samples_16k), fastest_tokens(samples_16k)
        known = draft.tokens if draft and draft.language == guess else ()
        decoded, named = self._decoder.write(heard, self._prompt(guess), known, most, fastest, stop)
        language = self._likeliest(named, languages)
        if language != guess:
            decoded, named = self._decoder.write(heard, self._prompt(language), (), most, fastest, stop)
        text: str = self._tokenizer.decode(decoded.tokens).strip()
        away = ran_away(text, decoded.tokens, samples_16k)
        if is_no_speech(float(named[-1]), decoded.log_probability):
            text = ""
        confidence = math.exp(decoded.log_probability)
        return Transcript(text, language, self._ends(decoded), confidence, tokens=tuple(decoded.tokens)), away

    def _likeliest(self, named: np.ndarray, languages: Mapping[Language, float]) -> Language:
        if len(languages) == 1:
            return next(iter(languages))
        heard = dict(zip(self._languages, np.exp(named - named[:-1].max()), strict=False))
        return max(languages, key=lambda language: float(heard[language]) * languages[language])

    def _ends(self, decoded: Decoded) -> float:
        """After the last word, before the marks behind it, which the model writes by what it thinks of the end."""
        words = len(decoded.tokens)
        while words and decoded.tokens[words - 1] in self._marks_tokens:
            words -= 1
        return decoded.ends[words]

    def _prompt(self, language: Language) -> list[int]:
        names = ("<|startoftranscript|>", f"<|{language}|>", "<|transcribe|>", "<|notimestamps|>")
        return [self._token(name) for name in names]

    def _token(self, *names: str) -> int:
        """The first of `names` that there is."""
        for name in names:
            if (token := self._tokenizer.token_to_id(name)) is not None:
                return int(token)
        raise ValueError(f"the tokenizer has no {names[0]}: this is not the tokenizer of a multilingual Whisper")

    def _marks(self) -> dict[int, str]:
        """The tokens without a letter or a digit, with what they spell."""
        spelt = {
            token: self._tokenizer.decode([token]).strip()
            for spelling, token in self._tokenizer.get_vocab(with_added_tokens=False).items()
            if len(spelling) <= _LONGEST_MARK and not any(letter.isascii() and letter.isalnum() for letter in spelling)
        }
        return {token: text for token, text in spelt.items() if text and set(text) <= _MARKS}
