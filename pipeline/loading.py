"""From a profile to loaded models. An engine is imported only when a profile names it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial

from pipeline.languages import Language
from pipeline.lm.base import LanguageModel
from pipeline.lm.echo import Echo
from pipeline.model_process import ModelProcess
from pipeline.profiles import Profile, ProfileError, engines
from pipeline.profiles.engines import EngineSettings, SettingsError, Stage
from pipeline.readiness import require
from pipeline.remote import RemoteEndOfTurn, RemoteLanguageModel, RemoteSpeechToText, RemoteTextToSpeech
from pipeline.smart_turn import EndOfTurn
from pipeline.stt.base import SpeechToText
from pipeline.tts.base import TextToSpeech
from pipeline.vad import VoiceActivity
from pipeline.weights import WeightStore
from pipeline.weights.finding import find

# Audio comes and goes before any model.
_NICENESS = 5
# What it writes while the synthesiser speaks is seldom waited for; but if it gave way further before it is well ahead
# (`pipeline/lm/batching.py`), where several are being answered nobody's next clause would be written in time.
_LANGUAGE_MODEL_NICENESS = 7

_SMART_TURN = "smart-turn"


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

    Raises: as `pipeline.readiness.require` and `Engine.load`.
    """
    require(profile)
    on_loading("weights")
    await asyncio.to_thread(_bring_weights, profile, store)

    def process(
        name: str,
        stage: Stage,
        load: Callable[[EngineSettings, WeightStore], object],
        *,
        slots: int = 1,
        niceness: int = _NICENESS,
    ) -> ModelProcess:
        elsewhere = {
            name: settings
            for name, settings in profile.of_stage(stage).items()
            if not isinstance(settings, engines.Echo)
        }
        loaders = {name: partial(load, settings, store) for name, settings in elsewhere.items()}
        return ModelProcess(name, loaders, slots=slots, niceness=niceness)

    turns = ModelProcess("end-of-turn", {_SMART_TURN: partial(_load_end_of_turn, store)}, niceness=_NICENESS)
    hearing = process("speech-to-text", "speech_to_text", load_speech_to_text)
    thinking = process(
        "language-model",
        "language_model",
        load_language_model,
        slots=profile.replies_at_once,
        niceness=_LANGUAGE_MODEL_NICENESS,
    )
    speaking = process("text-to-speech", "text_to_speech", load_text_to_speech, slots=profile.clauses_at_once)
    # Where `echo` alone answers, there is nothing to start for the language model.
    processes = tuple(one for one in (turns, hearing, thinking, speaking) if one.models)
    try:
        for one in processes:
            one.begin()
        on_loading("voice activity")
        voice_activity = await asyncio.to_thread(_load_voice_activity, store)
        for one in processes:
            named = ", ".join(profile.described(name) for name in one.models if name in profile.engines)
            on_loading(one.name.replace("-", " ") + (f": {named}" if named else ""))
            await asyncio.to_thread(one.wait)
        language_models: dict[str, LanguageModel] = {
            name: Echo() if isinstance(settings, engines.Echo) else RemoteLanguageModel(thinking, name)
            for name, settings in profile.of_stage("language_model").items()
        }
        synthesisers = {name: RemoteTextToSpeech(speaking, name) for name in profile.of_stage("text_to_speech")}
    except SettingsError as error:
        await asyncio.to_thread(_close, processes)
        raise ProfileError(f"profile {profile.name}: {error}") from None
    except BaseException:
        await asyncio.to_thread(_close, processes)
        raise
    return Models(
        voice_activity=voice_activity,
        end_of_turn=RemoteEndOfTurn(turns, _SMART_TURN),
        speech_to_text=RemoteSpeechToText(hearing, profile.speech_to_text.engine),
        language_models={code: language_models[name] for code, name in profile.language_model.engines.items()},
        text_to_speech={code: synthesisers[name] for code, name in profile.text_to_speech.engines.items()},
        processes=processes,
    )


def _bring_weights(profile: Profile, store: WeightStore) -> None:
    """What is missing is pulled here, where one display shows how far it is, and not by each process for itself."""
    for model in ("silero-vad", _SMART_TURN):
        store.path(model)
    for settings in profile.engines.values():
        if settings.source is not None:
            find(settings.source, store)


def _close(processes: Iterable[ModelProcess]) -> None:
    for process in processes:
        process.close()


def _load_voice_activity(store: WeightStore) -> VoiceActivity:
    from pipeline.vad import SileroVoiceActivity

    return SileroVoiceActivity(store.path("silero-vad"))


def _load_end_of_turn(store: WeightStore) -> EndOfTurn:
    from pipeline.smart_turn import SmartTurn

    return SmartTurn(store.path(_SMART_TURN), threads=1)


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
            _without_progress_bars()
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
            return Echo()
        case engines.LlamaInt8():
            from pipeline.lm.llama_int8 import LlamaInt8

            return LlamaInt8(
                find(settings.source, store) / settings.file,
                conversations=settings.conversations,
                context_tokens=settings.context_tokens,
                threads=settings.threads,
            )
        case engines.Llama():
            from pipeline.lm.llama import Llama

            return Llama(
                find(settings.source, store) / settings.file,
                conversations=settings.conversations,
                context_tokens=settings.context_tokens,
            )
        case engines.Transformers():
            _without_progress_bars()
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
            _without_progress_bars()
            from pipeline.tts.vits import Vits

            return Vits(find(settings.source, store), device=settings.device)
    raise _not_a("text-to-speech engine", settings)


def _without_progress_bars() -> None:
    """transformers draws them on standard error while it loads, which is the server's log."""
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()


def _not_a(what: str, settings: EngineSettings) -> TypeError:
    return TypeError(f"{type(settings).__name__} are not the settings of a {what}")
