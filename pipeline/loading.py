"""From a profile to loaded models. An engine is imported only when a profile names it."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from pipeline.languages import Language
from pipeline.lm.base import LanguageModel
from pipeline.profiles import ECHO, Profile, ProfileError
from pipeline.smart_turn import EndOfTurn
from pipeline.stt.base import SpeechToText
from pipeline.tts.base import TextToSpeech
from pipeline.vad import VoiceActivity
from pipeline.weights import WeightStore
from pipeline.worker import Worker
from pipeline.workers import REPLIES_AT_ONCE, Workers

T = TypeVar("T")

_CONTEXT_TOKENS = 2048


class MissingExtraError(ImportError):
    """An engine's packages are not installed; the message says which install brings them."""


@dataclass(frozen=True, slots=True)
class Models:
    """One copy of everything, shared by all conversations."""

    voice_activity: VoiceActivity
    end_of_turn: EndOfTurn
    speech_to_text: SpeechToText
    language_models: dict[Language, LanguageModel]
    text_to_speech: dict[Language, TextToSpeech]


async def load_models(
    profile: Profile, store: WeightStore, workers: Workers, on_loading: Callable[[str], None]
) -> Models:
    """Load each model in the worker that will run it, so that its library's threads get that worker's priority."""
    _require_embedded_engines()
    on_loading("voice activity")
    voice_activity = await _load(workers.turns, partial(_load_voice_activity, store))
    on_loading("end of turn")
    end_of_turn = await _load(workers.turns, partial(_load_end_of_turn, store))
    on_loading("speech to text")
    speech_to_text = await _load(workers.hearing, partial(_load_speech_to_text, profile, store))
    on_loading("language model")
    language_models = {
        name: await _load(workers.thinking, partial(_load_language_model, name, profile, store))
        for name in sorted(set(profile.language_model.engines.values()))
    }
    on_loading("text to speech")
    synthesisers = {
        name: await _load(workers.speaking, partial(_load_text_to_speech, name, profile, store))
        for name in sorted(set(profile.text_to_speech.engines.values()))
    }
    return Models(
        voice_activity=voice_activity,
        end_of_turn=end_of_turn,
        speech_to_text=speech_to_text,
        language_models={code: language_models[name] for code, name in profile.language_model.engines.items()},
        text_to_speech={code: synthesisers[name] for code, name in profile.text_to_speech.engines.items()},
    )


async def _load(worker: Worker, load: Callable[[], T]) -> T:
    return await worker.run(lambda stop: load(), deadline_s=0.0)


def _require_embedded_engines() -> None:
    packages = (
        "ctranslate2",
        "espeakng_loader",
        "faster_whisper",
        "misaki",
        "onnx",
        "onnxruntime",
        "pyopenjtalk",
        "xllamacpp",
    )
    if missing := [package for package in packages if importlib.util.find_spec(package) is None]:
        raise MissingExtraError(
            f"the embedded engines need {', '.join(missing)}, not installed here; "
            "`pip install 's2s-gate[server]'` brings them"
        )


def _load_voice_activity(store: WeightStore) -> VoiceActivity:
    from pipeline.vad import SileroVoiceActivity

    return SileroVoiceActivity(store.path("silero-vad"))


def _load_end_of_turn(store: WeightStore) -> EndOfTurn:
    from pipeline.smart_turn import SmartTurn

    return SmartTurn(store.path("smart-turn"), threads=1)


def _load_speech_to_text(profile: Profile, store: WeightStore) -> SpeechToText:
    settings = profile.speech_to_text
    window = {"shortest_window_s": settings.shortest_window_s, "padding_s": settings.padding_s}
    match settings.engine:
        case "whisper":
            from pipeline.stt.whisper import Whisper

            return Whisper(store.path(settings.model), threads=settings.threads, **window)
        case "faster-whisper":
            from pipeline.stt.faster_whisper import FasterWhisper

            return FasterWhisper(store.path(settings.model), threads=settings.threads, **window)
    raise ProfileError(
        f"profile {profile.name}: no speech-to-text engine is called {settings.engine!r}; "
        "use 'whisper' or 'faster-whisper'"
    )


def _load_language_model(engine: str, profile: Profile, store: WeightStore) -> LanguageModel:
    match engine:
        case "echo":
            from pipeline.lm.echo import Echo

            return Echo()
        case "smollm2":
            from pipeline.lm.llama import Llama

            return Llama(
                store.path("smollm2") / "SmolLM2-135M-Instruct.Q4_1.gguf",
                conversations=REPLIES_AT_ONCE,
                context_tokens=_CONTEXT_TOKENS,
            )
    raise ProfileError(
        f"profile {profile.name}: no language model engine is called {engine!r}; use 'smollm2' or '{ECHO}'"
    )


def _load_text_to_speech(engine: str, profile: Profile, store: WeightStore) -> TextToSpeech:
    match engine:
        case "kokoro":
            from pipeline.tts.kokoro import Kokoro

            return Kokoro(store.path("kokoro"), threads=profile.text_to_speech.threads)
        case "espeak":
            from pipeline.tts.espeak import Espeak

            return Espeak()
    raise ProfileError(
        f"profile {profile.name}: no text-to-speech engine is called {engine!r}; use 'kokoro' or 'espeak'"
    )
