"""What a run says of itself: what it was to play, into what, by which definitions; and whether it did."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib import metadata

from harness import machine
from harness.fixtures import Fixture
from harness.judge import Judge
from harness.limits import ALL
from harness.measures import behaviour, clipping, latency, words
from harness.results import RunHeader, ScenarioRow, TurnRow, VerdictRow
from harness.run_settings import RunSettings
from harness.scenarios.casting import Casting
from harness.targets.base import Target

DEFAULT_PROFILE = "embedded"
"""Whose limits apply where the server does not say what it runs."""

DEFAULT_STT = "whisper-base"
"""What a server that does not say is taken to hear with, so that no judge is called independent without reason."""


def describe_run(
    settings: RunSettings,
    planned: Sequence[Fixture],
    casting: Casting,
    target: Target,
    server: dict[str, str],
    listener: Judge | None,
) -> RunHeader:
    engines = {key.removeprefix("lm."): name for key, name in server.items() if key.startswith("lm.")}
    profile = settings.profile or server.get("profile", DEFAULT_PROFILE)
    return RunHeader(
        target=target.name,
        profile=profile,
        tier=" and ".join(sorted({clip.tier for clip in [*planned, *_clips(casting)]})),
        started=datetime.now(UTC).isoformat(timespec="seconds"),
        languages=settings.languages,
        endpoint=settings.endpoint or "",
        machine=machine.describe(),
        server={key: value for key, value in server.items() if not key.startswith("lm.")},
        versions={
            "s2s-gate": metadata.version("s2s-gate"),
            "latency": str(latency.VERSION),
            "words": str(words.VERSION),
            "clipping": str(clipping.VERSION),
        }
        | ({"behaviour": str(behaviour.VERSION)} if casting.played else {}),
        lm=engines,
        judge=f"{listener.name} {listener.version}" if listener else None,
        judge_is_engine=listener is not None and is_engine_under_test(listener, server),
        planned=tuple(fixture.id for fixture in planned),
        scenarios=tuple(played.scenario.id for played in casting.played),
        left_out=casting.left_out,
    )


def _clips(casting: Casting) -> list[Fixture]:
    return [clip for played in casting.played for clip in played.clips.values()]


def is_engine_under_test(listener: Judge, server: Mapping[str, str]) -> bool:
    """Whether the judge is the very engine that the server, by its own account, hears with."""
    return listener.name == server.get("stt", DEFAULT_STT)


def unfinished(header: RunHeader, rows: Sequence[TurnRow], scenarios: Sequence[ScenarioRow]) -> list[VerdictRow]:
    """That a run was not finished, if so."""
    played = {row.fixture_id for row in rows} | {row.scenario_id for row in scenarios}
    missing = [
        f"{len(left)} of {len(ids)} {what}"
        for what, ids in (("clips", header.planned or ()), ("scenarios", header.scenarios))
        if (left := set(ids) - played)
    ]
    if header.planned is not None and not missing:
        return []
    reason = (
        "the run was stopped before it decided, and what it was to play is not known"
        if header.planned is None
        else f"the run was stopped: {' and '.join(missing)} were not played"
    )
    return [VerdictRow("all played", "run", ALL, "inconclusive", len(played), reason)]
