"""The session of a Realtime connection: what `session.update` may say, and what is in force.

One set of models serves both. An update is parsed as a `Session` in which only the fields that were sent are set; the
effective session is the one before it with those fields replaced.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, Self, TypeAlias

from pydantic import Field, SerializerFunctionWrapHandler, field_validator, model_serializer

from pipeline.languages import Language, parse_language
from pipeline.settings import ConversationSettings
from server.realtime.part import CurrentNames, JsonObject, NoPrompt, Part
from server.realtime.tools import ToolChoice, Tools, toolbox

# These merge field by field; every other value is replaced whole.
_NESTED = {"audio", "input", "output", "transcription"}


class Pcm(Part):
    type: Literal["audio/pcm"] = "audio/pcm"
    rate: Literal[24_000] = 24_000


class Pcmu(Part):
    type: Literal["audio/pcmu"]


class Pcma(Part):
    type: Literal["audio/pcma"]


AudioFormat: TypeAlias = Annotated[Pcm | Pcmu | Pcma, Field(discriminator="type")]


class ServerVad(Part):
    """`silence_duration_ms` decides the end of a turn."""

    type: Literal["server_vad"]
    threshold: float = Field(0.5, ge=0, le=1)
    prefix_padding_ms: int = Field(300, ge=0, le=5_000)
    silence_duration_ms: int = Field(500, ge=0, le=60_000)
    create_response: bool = True
    interrupt_response: bool = True
    idle_timeout_ms: Annotated[int, Field(ge=1_000, le=600_000)] | None = None


# The original waits for 8, 4 and 2 s at most; the same ratios hold for the shorter silences of the profile.
_PATIENCE = {"low": 2.0, "medium": 1.0, "auto": 1.0, "high": 0.5}


class SemanticVad(Part):
    """The profile's own policy, which judges by the words and the voice; `eagerness` stretches its silences."""

    type: Literal["semantic_vad"] = "semantic_vad"
    eagerness: Literal["low", "medium", "high", "auto"] = "auto"
    create_response: bool = True
    interrupt_response: bool = True


TurnDetection: TypeAlias = Annotated[ServerVad | SemanticVad, Field(discriminator="type")]


class Transcription(Part):
    """`language` is a code of the six, or `auto`; absent, the server's own default holds."""

    model: str | None = None
    language: str | None = None
    prompt: str | None = None

    @field_validator("language")
    @classmethod
    def _is_spoken_here(cls, language: str | None) -> str | None:
        if language is not None:
            parse_language(language)
        return language

    @model_serializer(mode="wrap")
    def _say_what_is_known(self, dump: SerializerFunctionWrapHandler) -> JsonObject:
        """There are clients to whom null is no name of a model."""
        return {name: value for name, value in dump(self).items() if value is not None}


class AudioInput(Part):
    nullable: ClassVar[frozenset[str]] = frozenset({"transcription", "noise_reduction", "turn_detection"})

    format: AudioFormat = Pcm()
    transcription: Transcription | None = Transcription()
    noise_reduction: JsonObject | None = None
    turn_detection: TurnDetection | None = SemanticVad()

    @field_validator("noise_reduction")
    @classmethod
    def _none_is_done(cls, value: JsonObject | None) -> None:
        """The cascade reduces no noise, and the echo says so."""


class VoiceId(Part):
    id: str


class AudioOutput(Part):
    format: AudioFormat = Pcm()
    voice: str | VoiceId | None = None
    speed: Annotated[float, Field(ge=0.25, le=1.5)] = 1.0

    @property
    def voice_name(self) -> str | None:
        return self.voice.id if isinstance(self.voice, VoiceId) else self.voice


class Audio(Part):
    input: AudioInput = AudioInput()
    output: AudioOutput = AudioOutput()


Modalities: TypeAlias = Annotated[
    tuple[Literal["text", "audio"], ...], Field(min_length=1, max_length=2, fail_fast=True)
]
MaxOutputTokens: TypeAlias = Annotated[int, Field(ge=1, le=4096)] | Literal["inf"]


class Session(CurrentNames):
    """The effective session, complete."""

    type: Literal["realtime"] = "realtime"
    model: str | None = None
    instructions: str = ""
    output_modalities: Modalities = ("audio",)
    audio: Audio = Audio()
    tools: Tools = ()
    tool_choice: ToolChoice = "auto"
    max_output_tokens: MaxOutputTokens = "inf"
    prompt: NoPrompt = None

    def updated(self, patch: Part) -> Self:
        """This session with the fields that `patch` sets; those that a session does not have say nothing to it.

        Raises:
            ValueError: the tool of choice is not among the tools.
        """
        session = self.model_validate(_merge(self.model_dump(), patch.model_dump(exclude_unset=True)))
        toolbox(session.tools, session.tool_choice)
        return session

    def conversation_settings(self, default_languages: tuple[Language, ...]) -> ConversationSettings:
        """What this session means to the pipeline."""
        turns = self.audio.input.turn_detection
        named = self.audio.input.transcription and self.audio.input.transcription.language
        languages = default_languages
        if named:
            one = parse_language(named)
            languages = (one,) if one else tuple(Language)
        return ConversationSettings(
            languages=languages,
            instructions=self.instructions or None,
            voice=self.audio.output.voice_name,
            speed=self.audio.output.speed,
            max_reply_tokens=None if self.max_output_tokens == "inf" else self.max_output_tokens,
            detect_turns=turns is not None,
            reply_to_turns=turns is not None and turns.create_response,
            interrupt=turns is None or turns.interrupt_response,
            speak="audio" in self.output_modalities,
            toolbox=toolbox(self.tools, self.tool_choice),
            **_ends(turns),
        )


def _ends(turns: ServerVad | SemanticVad | None) -> JsonObject:
    """How the begin and the end of a turn are found, as fields of `ConversationSettings`."""
    match turns:
        case None:
            return {}
        case SemanticVad():
            return {"patience": _PATIENCE[turns.eagerness]}
        case ServerVad():
            return {
                "silence_limit_s": turns.silence_duration_ms / 1000,
                "speech_threshold": turns.threshold,
                "prefix_s": turns.prefix_padding_ms / 1000,
                "idle_timeout_s": None if turns.idle_timeout_ms is None else turns.idle_timeout_ms / 1000,
            }


def _merge(base: JsonObject, patch: JsonObject) -> JsonObject:
    merged = dict(base)
    for name, value in patch.items():
        nested = name in _NESTED and isinstance(value, dict)
        merged[name] = _merge(base.get(name) or {}, value) if nested else value
    return merged
