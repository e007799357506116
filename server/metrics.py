"""What an operator watches, in Prometheus' text format. One registry a server."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import accumulate

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import HistogramMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.registry import Collector

from pipeline.engine import Jobs
from pipeline.events import Trace
from server.limits import Limit

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4

_SECONDS = (0.025, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 1.0, 1.25, 1.5, 2.0, 3.0, 5.0, 10.0, 20.0)

# A stage is from the end of the one before it that it waits for to its own end.
_STAGES = {
    "pause": ("speech_end_s", "pause_s"),
    "transcript": ("pause_s", "transcript_s"),
    "end_of_turn": ("speech_end_s", "committed_s"),
    "first_token": ("transcript_s", "first_token_s"),
    "first_clause": ("first_token_s", "first_clause_s"),
    "first_sample": ("first_clause_s", "first_sample_s"),
}


class Metrics:
    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self.ready = self._gauge("s2s_ready", "1 while new conversations are taken, else 0.")
        self.sessions = self._gauge("s2s_sessions", "Conversations that are open.")
        self.capacity = self._gauge("s2s_sessions_limit", "Conversations that may be open at once; +Inf without limit.")
        self.opened = self._counter("s2s_sessions_opened", "Conversations that were opened.", "route")
        self.closed = self._counter("s2s_sessions_closed", "Conversations that were closed.", "code")
        self.session_seconds = Histogram(
            "s2s_session_seconds",
            "How long conversations lasted.",
            buckets=(1, 5, 15, 30, 60, 120, 300, 600, 1800, 3600),
            registry=self._registry,
        )
        self.messages = self._counter("s2s_messages", "Messages of clients, and to them.", "direction")
        self.message_bytes = self._counter("s2s_message_bytes", "Bytes of these messages.", "direction")
        self.turns = self._counter("s2s_turns", "Turns of callers.", "outcome")
        self.replies = self._counter("s2s_replies", "Replies that have ended.", "status")
        self.first_audio_seconds = Histogram(
            "s2s_time_to_first_audio_seconds",
            "From the end of speech, as the detector puts it, to the first audio of the reply handed to the socket.",
            buckets=_SECONDS,
            registry=self._registry,
        )
        self._stages = Histogram(
            "s2s_stage_seconds",
            "How long each stage of a turn took.",
            ["stage"],
            buckets=_SECONDS,
            registry=self._registry,
        )
        self._waiting = self._gauge("s2s_worker_jobs_waiting", "Jobs that wait for a model.", "worker")
        self._running = self._gauge("s2s_worker_jobs_running", "Jobs that a model is at.", "worker")
        self._longest = self._gauge("s2s_worker_job_seconds", "For how long the oldest of these has been.", "worker")
        self._batch_sizes = _BatchSizes()
        self._registry.register(self._batch_sizes)
        self._restarts = self._gauge(
            "s2s_worker_restarts",
            "How often the process of these models died, or hung, and was started again.",
            "worker",
        )
        self.errors = self._counter("s2s_errors", "Errors told to clients, and failures of models, by code.", "code")
        self.refusals = self._counter("s2s_refusals", "Requests and upgrades that were refused.", "status")
        self.limits = self._counter("s2s_limits_hit", "How often a limit was hit.", "limit")
        for limit in Limit:
            self.limits.labels(limit)  # what has never been hit is told as 0

    def stages(self, trace: Trace) -> None:
        """Note how long each stage took that a turn has been through."""
        for stage, (begin, end) in _STAGES.items():
            begin_s, end_s = getattr(trace, begin), getattr(trace, end)
            if begin_s is not None and end_s is not None:
                self._stages.labels(stage).observe(max(0.0, end_s - begin_s))

    def workers(self, jobs: Mapping[str, Jobs]) -> None:
        """Note what each worker, by its name, has to do."""
        for worker, found in jobs.items():
            self._waiting.labels(worker).set(found.waiting)
            self._running.labels(worker).set(found.running)
            self._longest.labels(worker).set(found.longest_s)
            self._restarts.labels(worker).set(found.restarts)
        self._batch_sizes.counts = {worker: found.batch_sizes for worker, found in jobs.items()}

    def text(self) -> str:
        return generate_latest(self._registry).decode()

    def _gauge(self, name: str, told: str, *labels: str) -> Gauge:
        return Gauge(name, told, labels, registry=self._registry)

    def _counter(self, name: str, told: str, *labels: str) -> Counter:
        return Counter(name, told, labels, registry=self._registry)


class _BatchSizes(Collector):
    """A histogram that the workers themselves keep.

    Attributes:
        counts: of each worker, by its name, how often a job began as the only one, as the second, and so on.
    """

    def __init__(self) -> None:
        self.counts: Mapping[str, tuple[int, ...]] = {}

    def collect(self) -> Iterator[HistogramMetricFamily]:
        family = HistogramMetricFamily(
            "s2s_worker_batch_size",
            "How many jobs a model is at when one begins, this one among them.",
            labels=["worker"],
        )
        for worker, counts in self.counts.items():
            buckets = [(f"{size}.0", float(count)) for size, count in enumerate(accumulate(counts), 1)]
            total = float(sum(size * count for size, count in enumerate(counts, 1)))
            family.add_metric([worker], [*buckets, ("+Inf", float(sum(counts)))], sum_value=total)
        yield family
