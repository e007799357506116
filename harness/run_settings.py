"""What a run of the gate is to play into what, and by which limits to decide; and the clips that are chosen by it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from itertools import chain, zip_longest
from pathlib import Path
from typing import Literal, TypeAlias

from client.play import LIMIT_S
from harness import fixtures
from harness.fixtures import LANGUAGES, MANIFEST, Fixture, FixtureError, TierChoice
from harness.limits import DEFAULT_PATH
from harness.scenarios.casting import Casting, cast

Suite: TypeAlias = Literal["turns", "behaviour"]
"""turns: clips, each in a conversation of its own, for latency, words and clipping. behaviour: scenarios."""


@dataclass(frozen=True, slots=True)
class RunSettings:
    """What to play into what, and by which limits to decide.

    Attributes:
        folder: where the report goes.
        target: inferred from `endpoint` if None; the name of one that is handed over, otherwise.
        endpoint: address of the server under test; None for the cascade in this process.
        token: bearer token.
        languages: codes.
        tier: which fixtures; `auto` takes a language's recordings where there are any.
        limit: at most so many fixtures a language.
        manifest: what describes the fixtures.
        audio: the folder of their files; None for where those of the gate's own manifest are.
        gates: the file of limits.
        judge: the recogniser that listens to the replies; None for no such figures.
        profile: whose limits apply; None for what the server says it runs.
        limit_s: how long a reply may take to begin.
        baseline: with what the run is compared besides: a file, or the folder in which the one for this machine,
            profile and target is; None for no comparison.
        force: compare with a baseline of another machine, profile, target or definition all the same.
        history: to what the run is added; None for nothing.
        suites: what to play.
        budget_s: how long to go on playing while a limit is undecided; None to play each clip once. The first time that
            each is played is not cut short.
    """

    folder: Path
    target: str | None = None
    endpoint: str | None = None
    token: str | None = field(default=None, repr=False)
    languages: tuple[str, ...] = LANGUAGES
    tier: TierChoice = "auto"
    limit: int | None = None
    manifest: Path = MANIFEST
    audio: Path | None = None
    gates: Path = DEFAULT_PATH
    judge: str | None = None
    profile: str | None = None
    limit_s: float = LIMIT_S
    budget_s: float | None = None
    baseline: Path | None = None
    force: bool = False
    history: Path | None = None
    suites: tuple[Suite, ...] = ("turns",)


def default_folder(target: str) -> Path:
    """Where a report goes that was given no place: `reports/TIME-TARGET` in the working directory."""
    return Path("reports", f"{datetime.now().astimezone():%Y%m%d-%H%M%S}-{target}")


def parse_languages(text: str) -> tuple[str, ...]:
    """Codes separated by commas, each once, in their order.

    Raises:
        FixtureError: one that no clip can have.
    """
    codes = tuple(dict.fromkeys(code.strip() for code in text.split(",")))
    if unknown := [code for code in codes if code not in LANGUAGES]:
        raise FixtureError(f"unknown language {unknown[0]!r}; choose among {', '.join(LANGUAGES)}, separated by commas")
    return codes


def choose(settings: RunSettings) -> list[Fixture]:
    """The fixtures that a run would play, a language after the other in turn, so that an early end leaves some of each.

    Raises:
        FixtureError: there are none.
        ManifestError: the manifest cannot be read.
    """
    if "turns" not in settings.suites:
        return []
    clips = fixtures.load_manifest(settings.manifest)
    found = fixtures.available(settings.tier, settings.languages, settings.limit, clips=clips, folder=settings.audio)
    if not found:
        remedy = (
            f"their files belong into {settings.audio}, each with the checksum of {settings.manifest}"
            if settings.audio
            else "`s2s fixtures list` shows what there is, `s2s fixtures pull` brings the recordings"
        )
        raise FixtureError(
            f"no clips for the languages {', '.join(settings.languages)} in tier {settings.tier}; {remedy}"
        )
    by_language = [[clip for clip in found if clip.language == language] for language in settings.languages]
    return [clip for clip in chain.from_iterable(zip_longest(*by_language)) if clip is not None]


def choose_scenarios(settings: RunSettings) -> Casting:
    """The scenarios that a run would play, and those that it cannot.

    Raises:
        FixtureError: there are none, although they are asked for.
        ManifestError: the manifest or the scenarios cannot be read.
    """
    if "behaviour" not in settings.suites:
        return Casting()
    casting = cast(settings.languages, full_duplex=settings.target != "endpoint")
    if not casting.played:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in casting.left_out.items())
        raise FixtureError(
            f"no scenario can be played in {', '.join(settings.languages)}: {reasons or 'there is none'}"
        )
    return casting
