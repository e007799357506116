"""The settings of each kind of engine, as a profile's `[engines.NAME]` states them: every one, and nothing else.

What an engine needs of a machine can be told from them without loading it, which is how `s2s doctor` and
`s2s weights pull --profile` know.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Literal, get_args, get_origin, get_type_hints

Stage = Literal["speech_to_text", "language_model", "text_to_speech"]
Device = Literal["cpu", "cuda"]
Dtype = Literal["float32", "float16", "bfloat16"]


class SettingsError(ValueError):
    """Settings that cannot be: names the setting, the reason, the choices."""


@dataclass(frozen=True, slots=True)
class ModelSource:
    """Where an engine's files are.

    Attributes:
        model: a name in the catalogue of the store, OWNER/NAME of the Hugging Face hub, or a folder (./ or / first).
        revision: of the hub's repository, a commit; nothing where there is none.
        patterns: which files of a repository are wanted; all if empty.
        gated: the hub lets in only those to whom its owner gave access.
    """

    model: str
    revision: str = ""
    patterns: tuple[str, ...] = ()
    gated: bool = False

    @property
    def is_folder(self) -> bool:
        return self.model.startswith(("/", "./", "../"))

    @property
    def on_hub(self) -> bool:
        return not self.is_folder and "/" in self.model

    @property
    def moves(self) -> bool:
        """Of the hub, at a branch and not at a commit: what it names may be another model tomorrow."""
        return self.on_hub and not re.fullmatch("[0-9a-f]{40}", self.revision)


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """Of any kind.

    Attributes:
        stage: what it does.
        extra: the install that brings its packages.
        packages: which it imports.
    """

    stage: ClassVar[Stage]
    extra: ClassVar[str] = "server"
    packages: ClassVar[tuple[str, ...]] = ()

    @property
    def source(self) -> ModelSource | None:
        """Its weights; None of what has none."""
        return None

    @property
    def on_gpu(self) -> bool:
        return getattr(self, "device", "cpu") == "cuda"

    @property
    def replies_at_once(self) -> int | None:
        """That a language model writes; None where it does not matter how many."""
        return getattr(self, "conversations", None)

    @property
    def clauses_at_once(self) -> int | None:
        """That a synthesiser speaks; None where it does not matter how many."""
        return getattr(self, "clauses", 1)

    @property
    def described(self) -> str:
        """For reports: the model, if there are several."""
        return self.source.model if self.source else ""


_SAFETENSORS = ("*.json", "*.txt", "*.safetensors", "*.jinja")
_WHISPER = ("ctranslate2", "faster_whisper", "onnx", "onnxruntime")
_TORCH = ("accelerate", "torch", "transformers")


@dataclass(frozen=True, slots=True)
class Whisper(EngineSettings):
    """`pipeline/stt/whisper/` on onnxruntime. The window is explained in `embedded.toml`, here and below."""

    model: str
    threads: int
    shortest_window_s: float
    padding_s: float

    stage = "speech_to_text"
    packages = _WHISPER

    @property
    def source(self) -> ModelSource:
        return ModelSource(self.model)


@dataclass(frozen=True, slots=True)
class FasterWhisper(EngineSettings):
    """`pipeline/stt/faster_whisper.py`; `compute_type` is one of CTranslate2's, as float16 or int8_float16."""

    model: str
    revision: str
    device: Device
    compute_type: str
    threads: int
    shortest_window_s: float
    padding_s: float

    stage = "speech_to_text"
    packages = _WHISPER

    @property
    def source(self) -> ModelSource:
        return ModelSource(self.model, self.revision)


@dataclass(frozen=True, slots=True)
class TransformersWhisper(EngineSettings):
    """`pipeline/stt/whisper/` on transformers."""

    model: str
    revision: str
    device: Device
    dtype: Dtype
    shortest_window_s: float
    padding_s: float

    stage = "speech_to_text"
    extra = "gpu"
    packages = (*_WHISPER, *_TORCH)

    @property
    def source(self) -> ModelSource:
        return ModelSource(self.model, self.revision, _SAFETENSORS)


@dataclass(frozen=True, slots=True)
class Echo(EngineSettings):
    stage = "language_model"


@dataclass(frozen=True, slots=True)
class Llama(EngineSettings):
    """`pipeline/lm/llama.py`: `file` of the model, in GGUF, for `conversations` at once, each of at most
    `context_tokens`."""

    model: str
    file: str
    conversations: int
    context_tokens: int

    stage = "language_model"
    packages = ("xllamacpp",)

    @property
    def source(self) -> ModelSource:
        return ModelSource(self.model)


@dataclass(frozen=True, slots=True)
class LlamaInt8(EngineSettings):
    """`pipeline/lm/llama_int8/`: the same of a small Llama, on so many `threads`."""

    model: str
    file: str
    conversations: int
    context_tokens: int
    threads: int

    stage = "language_model"
    packages = ("onnx", "onnxruntime", "tokenizers")

    @property
    def source(self) -> ModelSource:
        return ModelSource(self.model)


@dataclass(frozen=True, slots=True)
class Transformers(EngineSettings):
    """`pipeline/lm/transformers/`: `conversations` are batched, and the prompts of so many are kept, each of at most
    `context_tokens` with its answer; `cuda_graphs` is whether decoding is recorded once and replayed; `gated` is
    whether the hub asks for a token."""

    model: str
    revision: str
    gated: bool
    device: Device
    dtype: Dtype
    conversations: int
    context_tokens: int
    cuda_graphs: bool

    stage = "language_model"
    extra = "gpu"
    packages = _TORCH

    @property
    def source(self) -> ModelSource:
        return ModelSource(self.model, self.revision, _SAFETENSORS, self.gated)


@dataclass(frozen=True, slots=True)
class OpenAI(EngineSettings):
    """`pipeline/lm/openai.py`. `base_url` and `model` may be `$NAME`: what that environment variable holds.

    It is asked for so many `conversations` at once. `key_variable` names the variable of the key ("" where none is
    wanted), `stall_s` is how long the server may keep silent, and `request` has fields of the request beside the usual
    ones.
    """

    base_url: str
    model: str
    conversations: int
    key_variable: str
    stall_s: float
    request: Mapping[str, Any]

    stage = "language_model"
    packages = ("httpx2",)

    @property
    def described(self) -> str:
        return self.model

    def missing_variables(self) -> list[str]:
        """Those that it names and that are not set."""
        named = [value[1:] for value in (self.base_url, self.model) if value.startswith("$")]
        return [name for name in [*named, *filter(None, [self.key_variable])] if not os.environ.get(name)]

    def filled(self) -> tuple[str, str]:
        """The base URL and the model.

        Raises:
            SettingsError: a variable is not set.
        """
        if missing := [name for name in self.missing_variables() if name != self.key_variable]:
            raise SettingsError(f"set {' and '.join(missing)} in the environment (docs/engines.md)")
        address, model = (
            os.environ[value[1:]] if value.startswith("$") else value for value in (self.base_url, self.model)
        )
        return address, model


@dataclass(frozen=True, slots=True)
class Kokoro(EngineSettings):
    """`pipeline/tts/kokoro/` on onnxruntime."""

    model: str
    threads: int
    clauses: int

    stage = "text_to_speech"
    packages = ("espeakng_loader", "misaki", "onnx", "onnxruntime", "pyopenjtalk")

    @property
    def source(self) -> ModelSource:
        return ModelSource(self.model)


@dataclass(frozen=True, slots=True)
class TorchKokoro(EngineSettings):
    """`pipeline/tts/kokoro/` on torch, in float32."""

    model: str
    device: Device

    stage = "text_to_speech"
    extra = "gpu"
    packages = (*Kokoro.packages, "torch")

    @property
    def source(self) -> ModelSource:
        return ModelSource(self.model)


@dataclass(frozen=True, slots=True)
class Espeak(EngineSettings):
    stage = "text_to_speech"
    packages = ("espeakng_loader",)

    @property
    def clauses_at_once(self) -> None:
        """One after the other, in no time."""
        return None


@dataclass(frozen=True, slots=True)
class Vits(EngineSettings):
    """`pipeline/tts/vits.py`: Korean, in float32."""

    model: str
    revision: str
    device: Device

    stage = "text_to_speech"
    extra = "gpu"
    packages = ("torch", "transformers", "uroman")

    @property
    def source(self) -> ModelSource:
        return ModelSource(self.model, self.revision, _SAFETENSORS)


KINDS: dict[str, type[EngineSettings]] = {
    "whisper": Whisper,
    "faster-whisper": FasterWhisper,
    "transformers-whisper": TransformersWhisper,
    "echo": Echo,
    "llama": Llama,
    "llama-int8": LlamaInt8,
    "transformers": Transformers,
    "openai": OpenAI,
    "kokoro": Kokoro,
    "torch-kokoro": TorchKokoro,
    "espeak": Espeak,
    "vits": Vits,
}


def engine_settings(name: str, table: Mapping[str, Any]) -> EngineSettings:
    """What `[engines.NAME]` says. A name without a table is that of a kind that needs no settings.

    Raises:
        SettingsError: no such kind, or a setting that is missing, unknown or of the wrong type.
    """
    values = {"kind": name, **table}
    kind = KINDS.get(values.pop("kind"))
    if kind is None:
        raise SettingsError(f"[engines.{name}] has no known kind; choose one of {', '.join(KINDS)}")
    wanted = {field.name for field in fields(kind)}
    if wrong := wanted.symmetric_difference(values):
        raise SettingsError(f"[engines.{name}] must have exactly kind and {sorted(wanted)}; look at {sorted(wrong)}")
    hints = get_type_hints(kind)
    for setting, value in values.items():
        if not _fits(value, hints[setting]):
            raise SettingsError(f"[engines.{name}] {setting} = {value!r}: it must be {_needed(hints[setting])}")
    return kind(**values)


def _fits(value: Any, hint: Any) -> bool:
    if get_origin(hint) is Literal:
        return value in get_args(hint)
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if hint is int:  # of threads, conversations, tokens: none at all would be no engine
        return isinstance(value, int) and not isinstance(value, bool) and value >= 1
    return isinstance(value, get_origin(hint) or hint)


def _needed(hint: Any) -> str:
    if get_origin(hint) is Literal:
        return f"one of {', '.join(get_args(hint))}"
    return {bool: "true or false", float: "a number", int: "a whole number, 1 at least", str: "text"}.get(
        hint, "a table"
    )
