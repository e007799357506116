"""The session of a Realtime connection: what `session.update` may say, and what is in force.

One set of models serves both. An update is parsed as a `Session` in which only the fields that were sent are set; the
effective session is the one before it with those fields replaced.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal, Self, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from pipeline.languages import Language, parse_language
from pipeline.settings import ConversationSettings

JsonObject: TypeAlias = dict[str, Any]

# The names of the API before it was generally available, and what became of them: ignoring these would leave a client
# with a session that it did not ask for.
_BETA_NAMES = {
    "modalities": "output_modalities",
    "input_audio_format": "audio.input.format",
    "output_audio_format": "audio.output.format",
    "input_audio_transcription": "audio.input.transcription",
    "input_audio_noise_reduction": "audio.input.noise_reduction",
    "turn_detection": "audio.input.turn_detection",
    "voice": "audio.output.voice",
    "max_response_output_tokens": "max_output_tokens",
}
# These merge field by field; every other value is replaced whole.
_NESTED = {"audio", "input", "output", "transcription"}


class Part(BaseModel):
    """A part of the session. Where a field cannot be null, null means what absence does: keep the value."""

    model_config = ConfigDict(extra="ignore", frozen=True)
    nullable: ClassVar[frozenset[str]] = frozenset()

    @model_validator(mode="before")
    @classmethod
    def _null_is_absence(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        return {name: field for name, field in value.items() if field is not None or name in cls.nullable}


class Pcm(Part):
    type: Literal["audio/pcm"] = "audio/pcm"
    rate: Literal[24_000] = 24_000


class Pcmu(Part):
    type: Literal["audio/pcmu"]


class Pcma(Part):
    type: Literal["audio/pcma"]


AudioFormat: TypeAlias = Annotated[Pcm | Pcmu | Pcma, Field(discriminator="type")]


class ServerVad(Part):
    """`silence_duration_ms` decides the end of a turn; the threshold and the padding are the detector's own."""

    type: Literal["server_vad"]
    threshold: float = Field(0.5, ge=0, le=1)
    prefix_padding_ms: int = Field(300, ge=0)
    silence_duration_ms: int = Field(500, ge=0, le=60_000)
    create_response: bool = True
    interrupt_response: bool = True
    idle_timeout_ms: int | None = None


class SemanticVad(Part):
    """The profile's own policy: Smart Turn with a silence limit."""

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


class Tool(Part):
    """Echoed, so that clients that register tools live; no engine of this server calls one yet."""

    type: Literal["function"]
    name: str
    description: str | None = None
    parameters: JsonObject | None = None


Modalities: TypeAlias = Annotated[list[Literal["text", "audio"]], Field(min_length=1)]


class Session(Part):
    """The effective session, complete."""

    type: Literal["realtime"] = "realtime"
    model: str | None = None
    instructions: str = ""
    output_modalities: Modalities = ["audio"]
    audio: Audio = Audio()
    tools: list[Tool] = []
    tool_choice: Literal["none", "auto", "required"] | JsonObject = "auto"
    max_output_tokens: Annotated[int, Field(ge=1, le=4096)] | Literal["inf"] = "inf"

    @model_validator(mode="before")
    @classmethod
    def _names_are_of_this_api(cls, value: Any) -> Any:
        if isinstance(value, dict):
            for old, new in _BETA_NAMES.items():
                if old in value:
                    raise ValueError(f"{old!r} is a name of the beta API; the field is now {new!r}")
        return value

    def updated(self, patch: Session) -> Self:
        """This session with the fields that `patch` sets. Never raises: both sides have been validated."""
        return self.model_validate(_merge(self.model_dump(), patch.model_dump(exclude_unset=True)))

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
            silence_limit_s=turns.silence_duration_ms / 1000 if isinstance(turns, ServerVad) else None,
            speak="audio" in self.output_modalities,
        )


def _merge(base: JsonObject, patch: JsonObject) -> JsonObject:
    merged = dict(base)
    for name, value in patch.items():
        nested = name in _NESTED and isinstance(value, dict)
        merged[name] = _merge(base.get(name) or {}, value) if nested else value
    return merged
