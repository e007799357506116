"""From a profile to loaded models. An engine is imported only when a profile names it."""

from __future__ import annotations

import asyncio
import importlib.util
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial

from pipeline.languages import Language
from pipeline.lm.base import LanguageModel
from pipeline.lm.echo import Echo
from pipeline.model_process import ModelProcess
from pipeline.profiles import ECHO, Profile, ProfileError
from pipeline.remote import RemoteEndOfTurn, RemoteLanguageModel, RemoteSpeechToText, RemoteTextToSpeech
from pipeline.smart_turn import EndOfTurn
from pipeline.stt.base import SpeechToText
from pipeline.tts.base import TextToSpeech
from pipeline.vad import VoiceActivity
from pipeline.weights import CATALOGUE, WeightStore
from pipeline.workers import REPLIES_AT_ONCE

_CONTEXT_TOKENS = 2048

# Audio comes and goes before any model.
_NICENESS = 5
# What it writes while the synthesiser speaks is seldom waited for; but if it gave way altogether, another caller would
# wait for the first word while the reply to one is made ahead of need.
_LANGUAGE_MODEL_NICENESS = 10


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
    processes: tuple[ModelProcess, ...] = ()
    """Those in which they run, if not in this one."""

    def close(self) -> None:
        """Blocks: call it off the loop."""
        _close(self.processes)


async def load_models(profile: Profile, store: WeightStore, on_loading: Callable[[str], None]) -> Models:
    """Load the models of each worker in a process of its own: a native library that crashes ends no other's work.

    Voice activity, which takes less time than a process is away, and `echo`, which has nothing to crash, stay here.

    Raises: as `Engine.load`.
    """
    _require_embedded_engines()
    language_models = dict.fromkeys(profile.language_model.engines.values())
    synthesisers = dict.fromkeys(profile.text_to_speech.engines.values())
    on_loading("weights")
    await asyncio.to_thread(_bring_weights, store, profile.speech_to_text.model, *language_models, *synthesisers)
    turns = ModelProcess("end-of-turn", {"": partial(_load_end_of_turn, store)}, niceness=_NICENESS)
    hearing = ModelProcess("speech-to-text", {"": partial(_load_speech_to_text, profile, store)}, niceness=_NICENESS)
    thinking = ModelProcess(
        "language-model",
        {name: partial(_load_language_model, name, profile, store) for name in language_models if name != ECHO},
        slots=REPLIES_AT_ONCE,
        niceness=_LANGUAGE_MODEL_NICENESS,
    )
    speaking = ModelProcess(
        "text-to-speech",
        {name: partial(_load_text_to_speech, name, profile, store) for name in synthesisers},
        niceness=_NICENESS,
    )
    processes = (turns, hearing, thinking, speaking)
    try:
        for process in processes:
            process.begin()
        on_loading("voice activity")
        voice_activity = await asyncio.to_thread(_load_voice_activity, store)
        for process in processes:
            on_loading(process.name.replace("-", " "))
            await asyncio.to_thread(process.wait)
        remote = {name: RemoteLanguageModel(thinking, name) for name in language_models if name != ECHO}
        spoken = {name: RemoteTextToSpeech(speaking, name) for name in synthesisers}
    except BaseException:
        await asyncio.to_thread(_close, processes)
        raise
    return Models(
        voice_activity=voice_activity,
        end_of_turn=RemoteEndOfTurn(turns, ""),
        speech_to_text=RemoteSpeechToText(hearing, ""),
        language_models={code: remote.get(name, Echo()) for code, name in profile.language_model.engines.items()},
        text_to_speech={code: spoken[name] for code, name in profile.text_to_speech.engines.items()},
        processes=processes,
    )


def _bring_weights(store: WeightStore, *engines: str) -> None:
    """What is missing is pulled here, where one display shows how far it is, and not by each process for itself."""
    for model in ("silero-vad", "smart-turn", *engines):
        if model in CATALOGUE:
            store.path(model)


def _close(processes: Iterable[ModelProcess]) -> None:
    for process in processes:
        process.close()


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
