"""Traces of turns: a span a turn, one a stage below it, nobody's words, and only for whoever asks."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from pipeline.engine import Engine
from pipeline.testing import Script, scripted_engine
from server.app import Server, ServerSettings
from server.tracing import Tracing, TracingError, open_tracing

STAGES = ["pause", "transcription", "end of turn", "language model", "synthesis", "sending"]


def serving(tracing: Tracing | None, script: Script) -> Server:
    async def load(on_loading: Callable[[str], None]) -> Engine:
        return scripted_engine(script)

    return Server(load, ServerSettings(port=0), tracing=tracing)


def spans_of(exporter: InMemorySpanExporter, name: str) -> list[ReadableSpan]:
    return [span for span in exporter.get_finished_spans() if span.name == name]


def seconds(span: ReadableSpan) -> float:
    assert span.start_time is not None
    assert span.end_time is not None
    return (span.end_time - span.start_time) / 1e9


@pytest.mark.asyncio
async def test_a_turn_is_a_span_and_each_of_its_stages_one_below_it(talk: Any) -> None:
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    script = Script(heard=["the caller's words"], reply=lambda messages: "Words of the reply.", speaking_s=0.1)
    async with serving(Tracing(provider), script) as server:
        await server.ready()
        async with talk(server), talk(server) as talker:
            for _ in range(2):
                await talker.ask()
                await talker.until("response.done")
            await talker.send("response.create")  # for which no turn asks
            await talker.until("response.done")
            while len(spans_of(exporter, "turn")) < 3:
                await asyncio.sleep(0.01)
    first, second, asked = spans_of(exporter, "turn")
    for turn, number in ((first, 1), (second, 2)):
        assert turn.attributes is not None
        told = dict(turn.attributes)
        assert (told["s2s.session"], told["s2s.turn"], told["s2s.status"]) == (2, number, "completed")
        assert turn.parent is None
    assert first.context.trace_id != second.context.trace_id
    below = [
        span for span in exporter.get_finished_spans() if span.parent and span.parent.span_id == first.context.span_id
    ]
    assert [span.name for span in below] == STAGES
    assert {span.context.trace_id for span in below} == {first.context.trace_id}
    for span in below:
        assert first.start_time <= span.start_time <= span.end_time <= first.end_time  # type: ignore[operator]  # ended
    told = talker.of("response.done")[0]["response"]["trace"]
    for stage, begin, end in [
        ("pause", "speech_end_s", "pause_s"),
        ("transcription", "pause_s", "transcript_s"),
        ("end of turn", "speech_end_s", "committed_s"),
        ("synthesis", "first_clause_s", "first_sample_s"),
    ]:
        assert seconds(below[STAGES.index(stage)]) == pytest.approx(max(0.0, told[end] - told[begin]), abs=0.001)
    assert asked.attributes is not None
    assert "s2s.turn" not in asked.attributes
    everything = "".join(span.to_json() for span in exporter.get_finished_spans())
    assert "ords" not in everything


@pytest.mark.asyncio
async def test_a_reply_that_failed_is_an_error(talk: Any) -> None:
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))

    def fail(messages: object) -> str:
        raise RuntimeError("ill, and these are the caller's words")

    async with serving(Tracing(provider), Script(reply=fail)) as server:
        await server.ready()
        async with talk(server) as talker:
            await talker.ask()
            await talker.until("response.done")
            while not (turns := spans_of(exporter, "turn")):
                await asyncio.sleep(0.01)
    assert not turns[0].status.is_ok
    assert "words" not in turns[0].to_json()


@contextmanager
def collector() -> Iterator[tuple[str, list[tuple[str, Mapping[str, str], bytes]]]]:
    """Its address, and what is posted to it."""
    posted: list[tuple[str, Mapping[str, str], bytes]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            posted.append((self.path, dict(self.headers), body))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        yield f"http://127.0.0.1:{server.server_port}", posted
        server.shutdown()
        serving.join()


@pytest.mark.asyncio
async def test_the_standard_variables_are_enough(talk: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with collector() as (url, posted):
        environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": url, "OTEL_EXPORTER_OTLP_HEADERS": "api-key=for-the-collector"}
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        tracing = open_tracing(environment)
        assert tracing is not None
        async with serving(tracing, Script(heard=["the caller's words"])) as server:
            await server.ready()
            async with talk(server) as talker:
                await talker.ask()
                await talker.until("response.done")
        await asyncio.to_thread(tracing.close)
    ((path, headers, body),) = posted
    assert path == "/v1/traces"
    assert headers["api-key"] == "for-the-collector"
    (resource,) = ExportTraceServiceRequest.FromString(body).resource_spans
    named = {each.key: each.value.string_value for each in resource.resource.attributes}
    assert named["service.name"] == "s2s-gate"
    assert sorted(span.name for span in resource.scope_spans[0].spans) == sorted([*STAGES, "turn"])
    assert b"words" not in body


@pytest.mark.parametrize(
    "environment",
    [{}, {"OTEL_SERVICE_NAME": "x"}, {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x", "OTEL_SDK_DISABLED": "true"}],
    ids=["empty", "no collector", "disabled"],
)
def test_nobody_asked(environment: dict[str, str]) -> None:
    assert open_tracing(environment) is None


def test_a_protocol_that_is_not_spoken() -> None:
    with pytest.raises(TracingError, match="http/protobuf, not grpc"):
        open_tracing({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"})


def test_packages_that_are_missing_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    with pytest.raises(TracingError, match=r"pip install 's2s-gate\[otel\]'"):
        open_tracing({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://x"})


def test_nothing_of_it_is_imported_unasked() -> None:
    program = "import sys, server.app, cli.serve; print([name for name in sys.modules if 'opentelemetry' in name])"
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout == "[]\n"
