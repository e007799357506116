"""Profiles: which engines make up a cascade, and how it takes turns. One TOML file each.

A profile may be `based_on` another, from which it has the sections, and the engines, that it does not state.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar

from pipeline.capacity import LoadProfile
from pipeline.languages import Language
from pipeline.profiles.engines import EngineSettings, SettingsError, Stage, engine_settings

ECHO = "echo"
"""The language model engine that repeats what was heard: the deterministic choice for measuring words."""

_Section = TypeVar("_Section")


class ProfileError(ValueError):
    """A profile that does not exist or says something that cannot be."""


@dataclass(frozen=True, slots=True)
class TurnProfile:
    """How turns are taken; every field is explained in `embedded.toml`. Seconds, and probabilities in [0, 1]."""

    speech_threshold: float
    silence_threshold: float
    stir_threshold: float
    stir_db: float
    fading_db: float
    faded_db: float
    faded_s: float
    onset_s: float
    pause_s: float
    ask_s: float
    ask_again_s: float
    voice_weight: float
    voice_weight_of_three: float
    sentence_weight: float
    sentence_centre: float
    waits: tuple[tuple[float, float], ...]
    waits_of_three: tuple[tuple[float, float], ...]
    longest_wait_s: float
    prefix_s: float
    partial_s: float
    settle_s: float
    longest_turn_s: float
    interrupt_s: float
    murmur_s: float
    sure: float


@dataclass(frozen=True, slots=True)
class SpeechToTextProfile:
    engine: str


@dataclass(frozen=True, slots=True)
class LanguageModelProfile:
    reply_limit_s: float
    max_reply_tokens: int
    history_tokens: int
    engines: dict[Language, str]


@dataclass(frozen=True, slots=True)
class TextToSpeechProfile:
    lead_s: float
    ahead_s: float
    head_start_s: float
    most_head_start_s: float
    engines: dict[Language, str]


@dataclass(frozen=True, slots=True)
class MemoryProfile:
    """What the cascade takes, in GB of 10^9 bytes, reckoned in the profile's own words.

    Attributes:
        machine_gb: of the machine's memory.
        gpu_gb: of the GPU's, by what it is for.
    """

    machine_gb: float
    gpu_gb: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Profile:
    """Attributes:
    engines: the settings of each engine that the three stages name.
    """

    name: str
    turns: TurnProfile
    speech_to_text: SpeechToTextProfile
    language_model: LanguageModelProfile
    text_to_speech: TextToSpeechProfile
    memory: MemoryProfile
    load: LoadProfile
    engines: Mapping[str, EngineSettings]

    def with_echo(self) -> Profile:
        """The same cascade, with `echo` as the language model of every language."""
        only = replace(self.language_model, engines=dict.fromkeys(Language, ECHO))
        used = {name for name, _ in _named(self.speech_to_text, only, self.text_to_speech)}
        engines = {name: settings for name, settings in self.engines.items() if name in used}
        return replace(self, language_model=only, engines=engines | {ECHO: engine_settings(ECHO, {})})

    def of_stage(self, stage: Stage) -> dict[str, EngineSettings]:
        """Its engines of one stage, by name."""
        return {name: settings for name, settings in self.engines.items() if settings.stage == stage}

    @property
    def replies_at_once(self) -> int:
        """How many replies are written at once: as many as every language model of the profile takes. Who comes then
        waits in the worker, where the oldest deadline goes first, and not within an engine, where nobody knows of it.
        """
        at_once = [settings.replies_at_once for settings in self.of_stage("language_model").values()]
        return min((most for most in at_once if most is not None), default=1)

    @property
    def clauses_at_once(self) -> int:
        """How many clauses are spoken at once: as many as every synthesiser of the profile takes."""
        at_once = [settings.clauses_at_once for settings in self.of_stage("text_to_speech").values()]
        return min((most for most in at_once if most is not None), default=1)

    def described(self, name: str) -> str:
        """An engine for reports, with its model."""
        model = self.engines[name].described
        return model if model and model != name else name


def profile_names() -> list[str]:
    return sorted(
        entry.name.removesuffix(".toml")
        for entry in resources.files(__name__).iterdir()
        if entry.name.endswith(".toml")
    )


def load_profile(name: str) -> Profile:
    """Read a profile by name, or from a file: what ends in .toml.

    Raises:
        ProfileError: no such profile, or a field that is missing, unknown or of the wrong kind.
    """
    table = _with_bases(name)
    stages = (
        _section(SpeechToTextProfile, name, "speech_to_text", table),
        _section(LanguageModelProfile, name, "language_model", table),
        _section(TextToSpeechProfile, name, "text_to_speech", table),
    )
    return Profile(
        str(table.get("name", name)),
        _section(TurnProfile, name, "turns", table),
        *stages,
        memory=_section(MemoryProfile, name, "memory", table),
        load=_section(LoadProfile, name, "load", table),
        engines=_engines(name, stages, table.get("engines", {})),
    )


def _with_bases(name: str, above: tuple[str, ...] = ()) -> dict[str, Any]:
    if name in above:
        raise ProfileError(f"the profile {name} is based on itself, by way of {', '.join(above)}")
    table = _table(name)
    base = table.pop("based_on", None)
    if base is None:
        return table
    below = _with_bases(str(base), (*above, name))
    return {**below, **table, "engines": {**below.get("engines", {}), **table.get("engines", {})}}


def _table(name: str) -> dict[str, Any]:
    try:
        if name.endswith(".toml"):
            return tomllib.loads(Path(name).read_text(encoding="utf-8"))
        if name in profile_names():
            return tomllib.loads(resources.files(__name__).joinpath(f"{name}.toml").read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ProfileError(f"the profile {name} cannot be read: {error}") from None
    choices = ", ".join(profile_names())
    raise ProfileError(f"unknown profile {name!r}; choose one of {choices}, or a file that ends in .toml")


_Stages = tuple[SpeechToTextProfile, LanguageModelProfile, TextToSpeechProfile]


def _named(
    hearing: SpeechToTextProfile, thinking: LanguageModelProfile, speaking: TextToSpeechProfile
) -> list[tuple[str, Stage]]:
    """The engines that are named, in the order of the stages, with the stage that names them."""
    stages: list[tuple[Stage, list[str]]] = [
        ("speech_to_text", [hearing.engine]),
        ("language_model", [*thinking.engines.values()]),
        ("text_to_speech", [*speaking.engines.values()]),
    ]
    return list(dict.fromkeys((name, stage) for stage, names in stages for name in names))


def _engines(profile: str, stages: _Stages, tables: Mapping[str, Any]) -> dict[str, EngineSettings]:
    engines = {}
    for name, stage in _named(*stages):
        try:
            engines[name] = engine_settings(name, tables.get(name, {}))
        except SettingsError as error:
            raise ProfileError(f"profile {profile}: {error}") from None
        if engines[name].stage != stage:
            does = engines[name].stage
            raise ProfileError(f"profile {profile}: the {stage} cannot be {name!r}, which is a {does}")
    return engines


def _section(kind: type[_Section], profile: str, section: str, table: dict[str, Any]) -> _Section:
    values = dict(table.get(section, {}))
    wanted = {field.name for field in fields(kind)}  # type: ignore[arg-type]  # always called with a dataclass
    if wrong := wanted.symmetric_difference(values):
        raise ProfileError(
            f"profile {profile}: [{section}] must have exactly {sorted(wanted)}; look at {sorted(wrong)}"
        )
    for name in values.keys() & {"waits", "waits_of_three"}:
        values[name] = tuple((float(least), float(silence_s)) for least, silence_s in values[name])
    if "engines" in values:
        if missing := set(Language).difference(values["engines"]):
            raise ProfileError(f"profile {profile}: [{section}.engines] names no engine for {sorted(missing)}")
        values["engines"] = {Language(code): engine for code, engine in values["engines"].items()}
    return kind(**values)
