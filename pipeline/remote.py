"""The models of a cascade as they are called from here while they run in a process of their own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import cast

from pipeline.audio import FloatArray
from pipeline.languages import Language
from pipeline.lm.base import NO_TOOLS, Message, Piece, Toolbox, estimated_tokens
from pipeline.model_process import ModelProcess
from pipeline.stopping import Stop
from pipeline.stt.base import Transcript


class RemoteEndOfTurn:
    """Satisfies `pipeline.smart_turn.EndOfTurn`. Args: `model` is its name in the process."""

    def __init__(self, process: ModelProcess, model: str) -> None:
        self._process = process
        self._model = model

    def completeness(self, samples_16k: FloatArray, stop: Stop) -> float:
        return float(self._process.call(self._model, "completeness", samples_16k, stop=stop))


class RemoteSpeechToText:
    """Satisfies `pipeline.stt.base.SpeechToText`. Args: `model` is its name in the process."""

    def __init__(self, process: ModelProcess, model: str) -> None:
        self._process = process
        self._model = model

    def transcribe(
        self,
        samples_16k: FloatArray,
        languages: Mapping[Language, float],
        *,
        draft: Transcript | None,
        quick: bool = True,
        stop: Stop,
    ) -> Transcript:
        found = self._process.call(
            self._model, "transcribe", samples_16k, dict(languages), draft=draft, quick=quick, stop=stop
        )
        return cast(Transcript, found)


class RemoteLanguageModel:
    """Satisfies `pipeline.lm.base.LanguageModel`. Args: `model` is its name in the process, whose models are loaded."""

    def __init__(self, process: ModelProcess, model: str) -> None:
        self._process = process
        self._model = model
        self.tells_ends = bool(process.call(model, "tells_ends"))

    def reply(
        self, messages: Sequence[Message], *, max_tokens: int, toolbox: Toolbox = NO_TOOLS, stop: Stop
    ) -> Iterator[Piece]:
        return self._process.stream(
            self._model, "reply", list(messages), max_tokens=max_tokens, toolbox=toolbox, stop=stop
        )

    def prepare(self, messages: Sequence[Message], toolbox: Toolbox = NO_TOOLS, *, stop: Stop) -> None:
        self._process.call(self._model, "prepare", list(messages), toolbox, stop=stop)

    def sentence_ends(self, text: str, *, stop: Stop) -> float | None:
        ends = self._process.call(self._model, "sentence_ends", text, stop=stop)
        return None if ends is None else float(ends)

    def count_tokens(self, text: str) -> int:
        """An estimate: this is called where nobody may wait."""
        return estimated_tokens(text)


class RemoteTextToSpeech:
    """Satisfies `pipeline.tts.base.TextToSpeech`. Args: `model` is its name in the process, whose models are loaded."""

    def __init__(self, process: ModelProcess, model: str) -> None:
        self._process = process
        self._model = model
        self.voices: dict[Language, tuple[str, ...]] = process.call(model, "voices")

    def speak(self, text: str, language: Language, voice: str, *, speed: float, stop: Stop) -> Iterator[FloatArray]:
        return self._process.stream(self._model, "speak", text, language, voice, speed=speed, stop=stop)
