"""Which scenarios can be played now, with the clips that they take, and which cannot, and why."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from harness.fixtures import NO_SPEECH, Clip, Fixture, load_manifest, locate
from harness.fixtures.scenarios import Scenario, load_scenarios


@dataclass(frozen=True, slots=True)
class Cast:
    """A scenario whose clips are all here, by id."""

    scenario: Scenario
    clips: dict[str, Fixture]

    @property
    def attribution(self) -> str:
        """Whom the licences of the clips ask to be named."""
        return "; ".join(dict.fromkeys(clip.attribution for clip in self.clips.values() if clip.attribution))


@dataclass(frozen=True, slots=True)
class Casting:
    """What is played, and the id of each scenario that is not, with the reason."""

    played: tuple[Cast, ...] = ()
    left_out: dict[str, str] = field(default_factory=dict)


def cast(languages: Collection[str], *, full_duplex: bool, scenarios: Sequence[Scenario] | None = None) -> Casting:
    """The scenarios of these languages; those in which nobody speaks are in all of them.

    Args:
        languages: codes.
        full_duplex: the protocol hears the caller while a reply is played.
        scenarios: what to choose from; None for the file's.

    Raises:
        harness.fixtures.ManifestError: the manifest or the scenarios cannot be read.
        harness.fixtures.FixtureError: the mirror that is named is not there.
    """
    manifest = {clip.id: clip for clip in load_manifest()}
    found: dict[str, Fixture | None] = {}
    played: list[Cast] = []
    left_out: dict[str, str] = {}
    for scenario in load_scenarios(manifest) if scenarios is None else scenarios:
        clips = [manifest[name] for name in scenario.clips]
        if not _speaks(scenario, languages, clips):
            continue
        for clip in clips:
            if clip.id not in found:
                found[clip.id] = locate(clip)
        missing = [clip.id for clip in clips if found[clip.id] is None]
        if scenario.speaks_over_a_reply and not full_duplex:
            left_out[scenario.id] = "the /ws protocol does not hear the caller while a reply is played"
        elif missing:
            left_out[scenario.id] = f"{', '.join(missing)} is not here; `s2s fixtures pull` brings the recordings"
        else:
            here = {name: fixture for name in scenario.clips if (fixture := found[name]) is not None}
            played.append(Cast(scenario, here))
    return Casting(tuple(played), left_out)


def _speaks(scenario: Scenario, languages: Collection[str], clips: Sequence[Clip]) -> bool:
    """Whether its lines are in these languages; whoever is heard behind them does not matter."""
    behind = scenario.behind.clips if scenario.behind else ()
    spoken = {clip.language for clip in clips if clip.id not in behind} - {NO_SPEECH}
    return spoken <= set(languages)
