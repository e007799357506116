"""From a profile to loaded models. An engine is imported only when a profile names it."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from pipeline.languages import Language
from pipeline.lm.base import LanguageModel
from pipeline.profiles import Profile, ProfileError, engines
from pipeline.profiles.engines import EngineSettings, SettingsError, Stage
from pipeline.readiness import require
from pipeline.smart_turn import EndOfTurn
from pipeline.stt.base import SpeechToText
from pipeline.tts.base import TextToSpeech
from pipeline.vad import VoiceActivity
from pipeline.weights import WeightStore
from pipeline.weights.finding import find
from pipeline.worker import Worker
from pipeline.workers import Workers

T = TypeVar("T")


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
    """Load each model in the worker that will run it, so that its library's threads get that worker's priority.

    Raises: as `pipeline.readiness.require` and `Engine.load`.
    """
    require(profile)
    on_loading("voice activity")
    voice_activity = await _load(workers.turns, partial(_load_voice_activity, store))
    on_loading("end of turn")
    end_of_turn = await _load(workers.turns, partial(_load_end_of_turn, store))

    async def loaded(stage: Stage, worker: Worker, load: Callable[[EngineSettings, WeightStore], T]) -> dict[str, T]:
        models = {}
        for name, settings in profile.of_stage(stage).items():
            on_loading(f"{stage.replace('_', ' ')}: {profile.described(name)}")
            try:
                models[name] = await _load(worker, partial(load, settings, store))
            except SettingsError as error:
                raise ProfileError(f"profile {profile.name}: [engines.{name}]: {error}") from None
        return models

    hearing = await loaded("speech_to_text", workers.hearing, load_speech_to_text)
    thinking = await loaded("language_model", workers.thinking, load_language_model)
    speaking = await loaded("text_to_speech", workers.speaking, load_text_to_speech)
    return Models(
        voice_activity=voice_activity,
        end_of_turn=end_of_turn,
        speech_to_text=hearing[profile.speech_to_text.engine],
        language_models={code: thinking[name] for code, name in profile.language_model.engines.items()},
        text_to_speech={code: speaking[name] for code, name in profile.text_to_speech.engines.items()},
    )


async def _load(worker: Worker, load: Callable[[], T]) -> T:
    return await worker.run(lambda stop: load(), deadline_s=0.0)


def _load_voice_activity(store: WeightStore) -> VoiceActivity:
    from pipeline.vad import SileroVoiceActivity

    return SileroVoiceActivity(store.path("silero-vad"))


def _load_end_of_turn(store: WeightStore) -> EndOfTurn:
    from pipeline.smart_turn import SmartTurn

    return SmartTurn(store.path("smart-turn"), threads=1)


def load_speech_to_text(settings: EngineSettings, store: WeightStore) -> SpeechToText:
    """The engine of these settings. Raises `WeightsError`: its files cannot be had."""
    match settings:
        case engines.Whisper():
            from pipeline.stt.whisper import Whisper
            from pipeline.stt.whisper.onnx_network import OnnxNetwork

            return Whisper(
                find(settings.source, store),
                partial(OnnxNetwork, threads=settings.threads),
                shortest_window_s=settings.shortest_window_s,
                padding_s=settings.padding_s,
            )
        case engines.TransformersWhisper():
            from pipeline.stt.whisper import Whisper
            from pipeline.stt.whisper.torch_network import TorchNetwork

            return Whisper(
                find(settings.source, store),
                partial(TorchNetwork, device=settings.device, dtype=settings.dtype),
                shortest_window_s=settings.shortest_window_s,
                padding_s=settings.padding_s,
            )
        case engines.FasterWhisper():
            from pipeline.stt.faster_whisper import FasterWhisper

            return FasterWhisper(
                find(settings.source, store),
                device=settings.device,
                compute_type=settings.compute_type,
                threads=settings.threads,
                shortest_window_s=settings.shortest_window_s,
                padding_s=settings.padding_s,
            )
    raise _not_a("speech-to-text engine", settings)


def load_language_model(settings: EngineSettings, store: WeightStore) -> LanguageModel:
    """The engine of these settings.

    Raises:
        WeightsError: its files cannot be had.
        SettingsError: of an endpoint, a variable is not set.
    """
    match settings:
        case engines.Echo():
            from pipeline.lm.echo import Echo

            return Echo()
        case engines.Llama():
            from pipeline.lm.llama import Llama

            return Llama(
                find(settings.source, store) / settings.file,
                conversations=settings.conversations,
                context_tokens=settings.context_tokens,
            )
        case engines.Transformers():
            from pipeline.lm.transformers import Transformers

            return Transformers(
                find(settings.source, store),
                device=settings.device,
                dtype=settings.dtype,
                conversations=settings.conversations,
                context_tokens=settings.context_tokens,
                cuda_graphs=settings.cuda_graphs,
            )
        case engines.OpenAI():
            from pipeline.lm.openai import OpenAI

            address, model = settings.filled()
            return OpenAI(
                address,
                model,
                key=os.environ.get(settings.key_variable),
                key_variable=settings.key_variable,
                stall_s=settings.stall_s,
                request=settings.request,
            )
    raise _not_a("language model", settings)


def load_text_to_speech(settings: EngineSettings, store: WeightStore) -> TextToSpeech:
    """The engine of these settings. Raises `WeightsError`: its files cannot be had."""
    match settings:
        case engines.Kokoro():
            from pipeline.tts.kokoro import Kokoro
            from pipeline.tts.kokoro.onnx_network import OnnxNetwork as KokoroOnOnnx

            return Kokoro(find(settings.source, store), partial(KokoroOnOnnx, threads=settings.threads))
        case engines.TorchKokoro():
            from pipeline.tts.kokoro import Kokoro
            from pipeline.tts.kokoro.torch_network import TorchNetwork as KokoroOnTorch

            return Kokoro(find(settings.source, store), partial(KokoroOnTorch, device=settings.device))
        case engines.Espeak():
            from pipeline.tts.espeak import Espeak

            return Espeak()
        case engines.Vits():
            from pipeline.tts.vits import Vits

            return Vits(find(settings.source, store), device=settings.device)
    raise _not_a("text-to-speech engine", settings)


def _not_a(what: str, settings: EngineSettings) -> TypeError:
    return TypeError(f"{type(settings).__name__} are not the settings of a {what}")
