"""What the models of the protocol have in common."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, TypeAlias

from pydantic import AfterValidator, BaseModel, ConfigDict, model_validator

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


class Part(BaseModel):
    """A part of an event. Where a field cannot be null, null means what absence does: keep the value."""

    model_config = ConfigDict(extra="ignore", frozen=True)
    nullable: ClassVar[frozenset[str]] = frozenset()

    @model_validator(mode="before")
    @classmethod
    def _null_is_absence(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        return {name: field for name, field in value.items() if field is not None or name in cls.nullable}


class CurrentNames(Part):
    """A part whose fields had other names once."""

    @model_validator(mode="before")
    @classmethod
    def _names_are_of_this_api(cls, value: Any) -> Any:
        if isinstance(value, dict):
            for old, new in _BETA_NAMES.items():
                if old in value:
                    raise ValueError(f"{old!r} is a name of the beta API; the field is now {new!r}")
        return value


def _is_stored_elsewhere(prompt: JsonObject | None) -> None:
    raise ValueError("no prompts are stored here; write the text into 'instructions'")


NoPrompt: TypeAlias = Annotated[JsonObject | None, AfterValidator(_is_stored_elsewhere)]
"""A reference to a prompt of the original's own store. What is silently left out would be missed in every answer."""
