"""OpenTelemetry traces of turns, for whoever asks for them by the standard environment variables.

A span for each turn, from the end of speech to the end of its reply, and one for each stage below it. Nobody's words
are in them. The packages come with the extra `otel`, and are imported only when they are asked for.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from pipeline.events import ReplyDone
from server.logs import SESSION

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
_PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
_FLUSH_LIMIT_S = 3.0

# From which time of the trace to which, where both are there.
_STAGES = {
    "pause": ("speech_end_s", "pause_s"),
    "transcription": ("pause_s", "transcript_s"),
    "end of turn": ("speech_end_s", "committed_s"),
    "language model": ("transcript_s", "first_clause_s"),
    "synthesis": ("first_clause_s", "first_sample_s"),
}


class TracingError(Exception):
    """Traces are asked for, and cannot be had; the message says what to do."""


class Tracing:
    """Args: `provider` is of the SDK, and says where spans go."""

    def __init__(self, provider: TracerProvider) -> None:
        self._provider = provider
        self._tracer = provider.get_tracer("s2s-gate")

    def reply(self, reply: ReplyDone, now_s: float) -> None:
        """A reply has ended, and its turn with it.

        Args:
            now_s: the time on the input's sample clock, by which its trace goes.
        """
        from opentelemetry import trace
        from opentelemetry.trace import Status, StatusCode

        ended_ns = time.time_ns()

        def at_ns(at_s: float) -> int:
            return ended_ns - round(max(0.0, now_s - at_s) * 1e9)

        times = reply.trace
        known_s = [at_s for at_s in (times.speech_end_s, times.first_token_s, times.first_clause_s) if at_s is not None]
        begin_ns = at_ns(known_s[0]) if known_s else ended_ns
        turn = self._tracer.start_span(
            "turn", context=trace.set_span_in_context(trace.INVALID_SPAN), start_time=begin_ns
        )
        told = {
            "s2s.session": SESSION.get(),
            "s2s.turn": reply.turn,
            "s2s.reply": reply.reply,
            "s2s.status": reply.status,
            "s2s.language": str(reply.language),
            "s2s.prompt_tokens": reply.prompt_tokens,
            "s2s.reply_tokens": reply.reply_tokens,
        }
        turn.set_attributes({name: value for name, value in told.items() if value is not None})
        if reply.status == "failed":
            turn.set_status(Status(StatusCode.ERROR))
        below = trace.set_span_in_context(turn)
        stages = [(stage, getattr(times, begin), getattr(times, end)) for stage, (begin, end) in _STAGES.items()]
        for stage, begin_s, end_s in (*stages, ("sending", times.first_sample_s, now_s)):
            if begin_s is not None and end_s is not None:
                span = self._tracer.start_span(stage, context=below, start_time=at_ns(begin_s))
                span.end(max(at_ns(begin_s), at_ns(end_s)))
        turn.end(ended_ns)

    def close(self) -> None:
        """Send what has not been sent, as long as that takes no longer than 3 s."""
        closing = threading.Thread(target=self._provider.shutdown, name="otel-close", daemon=True)
        closing.start()
        closing.join(_FLUSH_LIMIT_S)


def open_tracing(environment: Mapping[str, str]) -> Tracing | None:
    """Tracing to the collector that the environment names, or None where it names none.

    All of the standard variables hold: `OTEL_EXPORTER_OTLP_HEADERS`, `OTEL_SERVICE_NAME`, `OTEL_RESOURCE_ATTRIBUTES`,
    `OTEL_TRACES_SAMPLER`, `OTEL_SDK_DISABLED` and so on.

    Raises:
        TracingError: the packages are missing, or the collector is to be spoken to otherwise than by HTTP.
    """
    wanted = any(environment.get(name) for name in ENDPOINTS)
    if not wanted or environment.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return None
    protocol = next((environment[name] for name in _PROTOCOLS if environment.get(name)), "http/protobuf")
    if protocol != "http/protobuf":
        raise TracingError(f"traces go to the collector as http/protobuf, not {protocol}; set {_PROTOCOLS[1]} to that")
    return Tracing(_provider(environment))


def _provider(environment: Mapping[str, str]) -> TracerProvider:
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        raise TracingError(
            f"{ENDPOINTS[0]} asks for traces, and {error}; they come with `pip install 's2s-gate[otel]'`"
        ) from error
    named = "OTEL_SERVICE_NAME" in environment or "service.name" in environment.get("OTEL_RESOURCE_ATTRIBUTES", "")
    provider = TracerProvider(resource=Resource.create({} if named else {"service.name": "s2s-gate"}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return provider
