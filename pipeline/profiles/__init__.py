"""Profiles: which engines make up a cascade, and how it takes turns. One TOML file each."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, fields, replace
from importlib import resources
from typing import Any, TypeVar

from pipeline.capacity import LoadProfile
from pipeline.languages import Language

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
    fading_db: float
    onset_s: float
    pause_s: float
    ask_s: float
    ask_again_s: float
    voice_weight: float
    waits: tuple[tuple[float, float], ...]
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
    model: str
    threads: int
    shortest_window_s: float
    padding_s: float


@dataclass(frozen=True, slots=True)
class LanguageModelProfile:
    reply_limit_s: float
    max_reply_tokens: int
    history_tokens: int
    engines: dict[Language, str]


@dataclass(frozen=True, slots=True)
class TextToSpeechProfile:
    threads: int
    lead_s: float
    ahead_s: float
    head_start_s: float
    most_head_start_s: float
    engines: dict[Language, str]


@dataclass(frozen=True, slots=True)
class Profile:
    name: str
    turns: TurnProfile
    speech_to_text: SpeechToTextProfile
    language_model: LanguageModelProfile
    text_to_speech: TextToSpeechProfile
    load: LoadProfile

    def with_echo(self) -> Profile:
        """The same cascade, with `echo` as the language model of every language."""
        engines = dict.fromkeys(Language, ECHO)
        return replace(self, language_model=replace(self.language_model, engines=engines))


def profile_names() -> list[str]:
    return sorted(
        entry.name.removesuffix(".toml")
        for entry in resources.files(__name__).iterdir()
        if entry.name.endswith(".toml")
    )


def load_profile(name: str) -> Profile:
    """Read a profile by name.

    Raises:
        ProfileError: no such profile, or a field that is missing, unknown or of the wrong kind.
    """
    if name not in profile_names():
        raise ProfileError(f"unknown profile {name!r}; choose one of {', '.join(profile_names())}")
    table = tomllib.loads(resources.files(__name__).joinpath(f"{name}.toml").read_text(encoding="utf-8"))
    return Profile(
        name=table["name"],
        turns=_section(TurnProfile, name, "turns", table),
        speech_to_text=_section(SpeechToTextProfile, name, "speech_to_text", table),
        language_model=_section(LanguageModelProfile, name, "language_model", table),
        text_to_speech=_section(TextToSpeechProfile, name, "text_to_speech", table),
        load=_section(LoadProfile, name, "load", table),
    )


def _section(kind: type[_Section], profile: str, section: str, table: dict[str, Any]) -> _Section:
    values = dict(table.get(section, {}))
    wanted = {field.name for field in fields(kind)}  # type: ignore[arg-type]  # always called with a dataclass
    if wrong := wanted.symmetric_difference(values):
        raise ProfileError(
            f"profile {profile}: [{section}] must have exactly {sorted(wanted)}; look at {sorted(wrong)}"
        )
    if "waits" in values:
        values["waits"] = tuple((float(least), float(silence_s)) for least, silence_s in values["waits"])
    if "engines" in values:
        if missing := set(Language).difference(values["engines"]):
            raise ProfileError(f"profile {profile}: [{section}.engines] names no engine for {sorted(missing)}")
        values["engines"] = {Language(code): engine for code, engine in values["engines"].items()}
    return kind(**values)
