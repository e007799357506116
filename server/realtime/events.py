"""Building blocks of what the server tells: ids, and the shapes that several events share."""

from __future__ import annotations

from dataclasses import asdict
from uuid import uuid4

from pipeline.events import Trace
from server.realtime.part import JsonObject


def new_id(prefix: str) -> str:
    return f"{prefix}_{uuid4().hex[:24]}"


def usage(prompt_tokens: int, reply_tokens: int) -> JsonObject:
    """Tokens of the language model: a cascade has no audio tokens."""
    return {
        "total_tokens": prompt_tokens + reply_tokens,
        "input_tokens": prompt_tokens,
        "output_tokens": reply_tokens,
        "input_token_details": {
            "text_tokens": prompt_tokens,
            "audio_tokens": 0,
            "image_tokens": 0,
            "cached_tokens": 0,
            "cached_tokens_details": {"text_tokens": 0, "audio_tokens": 0, "image_tokens": 0},
        },
        "output_token_details": {"text_tokens": reply_tokens, "audio_tokens": 0},
    }


def trace_object(trace: Trace) -> JsonObject:
    """The stages that happened, in seconds on the input's sample clock."""
    return {stage: round(at_s, 4) for stage, at_s in asdict(trace).items() if at_s is not None}
