"""What a comparison needs of a turn, and which turns belong together."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from harness.recording import Outcome
from harness.results import TurnRow


@dataclass(frozen=True, slots=True)
class Sample:
    """One turn in figures.

    Attributes:
        ttfa_s: time to first audio, seconds; None where nothing audible came.
        first_byte_s: seconds.
        errors: of the server's transcript, in the language's unit; None where there is none.
        units: of the reference.
        unsafe: the reply has a finding that fails; None without a reply.
        cold: the first conversation of a run, whose waits are compared with none.
    """

    fixture_id: str
    language: str
    outcome: Outcome
    ttfa_s: float | None = None
    first_byte_s: float | None = None
    errors: int | None = None
    units: int | None = None
    unsafe: bool | None = None
    cold: bool = False

    @classmethod
    def of(cls, row: TurnRow) -> Sample:
        """A row of a run's results in short."""
        findings = row.clipping.findings if row.clipping else ()
        return cls(
            row.fixture_id,
            row.language,
            row.outcome,
            row.latency.ttfa_s,
            row.latency.first_byte_s,
            row.heard.counts.errors if row.heard else None,
            row.heard.counts.units if row.heard else None,
            any(finding.severity == "fail" for finding in findings) if row.clipping else None,
            row.latency.cold,
        )


@dataclass(frozen=True, slots=True)
class Pair:
    """The same clip once on each side, as near to each other in time as they were played."""

    a: Sample
    b: Sample

    @property
    def fixture_id(self) -> str:
        return self.a.fixture_id

    @property
    def language(self) -> str:
        return self.a.language


def pair(a: Iterable[Sample], b: Iterable[Sample]) -> list[Pair]:
    """Of each clip the first turn of A with the first of B, the second with the second, in the order of B.

    Turns that the harness itself spoilt are left out before.
    """
    waiting: dict[str, list[Sample]] = defaultdict(list)
    for sample in a:
        if sample.outcome != "invalid":
            waiting[sample.fixture_id].append(sample)
    return [
        Pair(waiting[sample.fixture_id].pop(0), sample)
        for sample in b
        if sample.outcome != "invalid" and waiting[sample.fixture_id]
    ]
