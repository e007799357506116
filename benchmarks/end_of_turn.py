"""`end-of-turn`: how soon a turn is taken for over, against how many callers are cut off by that."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from itertools import product
from pathlib import Path
from typing import TypeAlias, TypeVar

import click
import matplotlib.pyplot as plt
import numpy as np
from rich.console import Console
from rich.table import Table
from scipy.stats import mannwhitneyu

from benchmarks.callers import progress
from benchmarks.pauses import Models, Pause, Spoken, heard_again, playings
from harness import fixtures
from harness.fixtures import LANGUAGES
from pipeline.end_of_turn import Statements, evidence
from pipeline.profiles import TurnProfile, load_profile

FIXED_S = (0.5, 0.7, 0.9, 1.1, 1.3, 1.5, 1.8)
"""The silences of a server that listens for nothing else."""
WEIGHTS = ((0.1, 0.15, 0.2, 0.3), (0.0, 0.15, 0.25, 0.4, 0.55), (-4.0, -3.5, -3.0, -2.0))
"""Of the voice, of the sentence, and the centre of the latter's log-odds, where the language model is a witness."""
TIMES = 30
"""So often what was heard is heard again."""
SURER = (-0.3, 0.0, 0.3)
"""How far from a place of the profile's waits the others are that are tried."""
LONGER_S = (-0.05, 0.0, 0.05)
"""The same for a silence of theirs."""
SAME_S = 0.005
"""So much later is no later."""

T = TypeVar("T")
Waits: TypeAlias = tuple[tuple[float, float], ...]
"""The evidence that it takes, and the silence that is enough then, in seconds."""


@click.group()
def end_of_turn() -> None:
    """How soon a turn is taken for over, against how many callers are cut off by that."""


@end_of_turn.command()
@click.option("--language", "languages", multiple=True, type=click.Choice(LANGUAGES), help="Only these.")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), required=True, help="Where the evidence goes.")
def listen(languages: tuple[str, ...], out: Path) -> None:
    """Ask the models about every pause of the recordings, and of the same with a pause put between two words.

    Takes about ten minutes for English alone. `frontier` and `nearby` read what this writes.
    """
    clips = fixtures.available("recorded", languages or LANGUAGES, None)
    models = Models()
    out.parent.mkdir(parents=True, exist_ok=True)
    with progress() as bar, out.open("w") as file:
        for clip in bar.track(clips, description="listening"):
            for spoken in playings(clip, models):
                file.write(json.dumps(asdict(spoken)) + "\n")


_written = click.argument("pauses", type=click.Path(path_type=Path, exists=True, dir_okay=False))
_without = click.option("--without", multiple=True, help="Clips to leave out: monologues, say.")


@end_of_turn.command()
@_written
@click.option("--plot", type=click.Path(path_type=Path, dir_okay=False), help="Where the picture goes.")
@_without
def frontier(pauses: Path, plot: Path | None, without: tuple[str, ...]) -> None:
    """Try many policies on what `listen` wrote, and show those that nothing beats. Takes a minute or two.

    A policy is a set of waits and the longest wait of the profile. The profile's own is the first of the table; then
    come those that hear nobody, and wait for the same silence whatever was said.
    """
    spoken, profile = _read(pauses, without), load_profile("embedded").turns
    with progress() as bar:
        policies = list(_policies(profile))
        tried = [(policy, _outcome(spoken, policy)) for policy in bar.track(policies, description="deciding")]
    table = Table("waits", "longest", "median, s", "p95, s", "cut in, plain", "cut in, with a pause")
    own = (profile, _outcome(spoken, profile))
    deaf = [_policy(profile, (), silence_s) for silence_s in FIXED_S]
    fixed = [(policy, _outcome(spoken, policy)) for policy in deaf]
    for policy, result in [own, *fixed, *_unbeaten(tried)]:
        table.add_row(
            _told(policy),
            f"{policy.longest_wait_s:g}",
            *(f"{value:.2f}" for value in result[:2]),
            *(f"{value:.1%}" for value in result[2:]),
        )
    console = Console(width=140)
    console.print(table)
    _tell_what_weights_do(spoken, profile, console)
    _tell_what_is_told_apart(spoken, profile, console)
    if plot:
        _draw([result for _, result in tried], own[1], [result for _, result in fixed], plot)


@end_of_turn.command()
@_written
@_without
def nearby(pauses: Path, without: tuple[str, ...]) -> None:
    """Try waits near the profile's on what `listen` wrote, as it might have been heard another time.

    What exactly one listening yields is luck, in part. So every policy decides thirty hearings of the same, in which
    what the recogniser says and where frames begin is a little other. Shown are the profile's, and of those whose
    slowest answers come no later and that cut in less, the ones that nothing beats. Takes about ten minutes for one
    language.
    """
    spoken, profile = _read(pauses, without), load_profile("embedded").turns
    read = [one for one in spoken if any(pause.sentence is not None for pause in one.pauses)]
    unread = [one for one in spoken if one not in read]
    console = Console(width=140)
    for name, heard in (("waits_of_three", read), ("waits", unread)):
        if heard:
            console.print(_nearby_table(name, heard, profile))


def _nearby_table(name: str, spoken: Sequence[Spoken], profile: TurnProfile) -> Table:
    times = [heard_again(spoken, np.random.default_rng(number)) for number in range(TIMES)]
    plain = sum(not one.inserted_s for one in spoken)
    headings = ("median, s", "p95, s", f"cut in, of {plain} plain", f"of {len(spoken) - plain} with a pause")
    table = Table(name, *headings, title=f"Mean of {TIMES} hearings")
    own = getattr(profile, name)
    policies = list(dict.fromkeys([own, *_nearby(own)]))
    with progress() as bar:
        tried = [
            (waits, np.mean([_outcome(heard, replace(profile, **{name: waits})) for heard in times], axis=0))
            for waits in bar.track(policies, description="deciding")
        ]
    _, (_, latest_s, most_plain, most_paused) = tried[0]
    better = [one for one in tried[1:] if one[1][1] <= latest_s + SAME_S and one[1][2] <= most_plain]
    better = _unbeaten([one for one in better if one[1][3] < most_paused])
    for waits, (median_s, p95_s, cut_in, cut_in_paused) in [tried[0], *better]:
        counts = (cut_in * plain, cut_in_paused * (len(spoken) - plain))
        table.add_row(
            str([list(wait) for wait in waits]), f"{median_s:.2f}", f"{p95_s:.3f}", *map("{:.2f}".format, counts)
        )
    return table


def _unbeaten(tried: Sequence[tuple[T, Sequence[float]]]) -> list[tuple[T, Sequence[float]]]:
    """Of these and their outcomes: whatever is slower than another cuts in less, at pauses put in."""
    ordered = sorted(tried, key=lambda one: (one[1][0], one[1][3]))
    least = [math.inf, *np.minimum.accumulate([result[3] for _, result in ordered])]
    return [one for one, before in zip(ordered, least, strict=False) if one[1][3] < before]


def _nearby(waits: Waits) -> Iterator[Waits]:
    """Each place up or down, and each silence but the last of several."""
    for sures in product(*([sure + step for step in SURER] for sure, _ in waits)):
        for silences_s in product(*([silence_s + step for step in LONGER_S] for _, silence_s in waits[:2])):
            kept_s = (silence_s for _, silence_s in waits[2:])
            yield tuple(
                (round(sure, 2), round(at_s, 3)) for sure, at_s in zip(sures, (*silences_s, *kept_s), strict=True)
            )


def _tell_what_is_told_apart(spoken: Sequence[Spoken], profile: TurnProfile, console: Console) -> None:
    """How well each witness, and all, tell the ends of turns from pauses as long as those put in."""
    ends = [one.pauses[-1] for one in spoken if not one.inserted_s and one.pauses]
    put_in = [
        pause for one in spoken if one.inserted_s for pause in one.pauses[:-1] if pause.lasted_s >= one.inserted_s
    ]
    witnesses: dict[str, Callable[[Pause], float]] = {
        "words": lambda pause: evidence(profile, Statements(pause.ends)),
        "voice": lambda pause: evidence(profile, Statements(None, pause.completeness)),
        "words and voice": lambda pause: evidence(profile, Statements(pause.ends, pause.completeness)),
        "all": lambda pause: evidence(
            profile, Statements(pause.ends, pause.completeness, pause.sentence is not None, pause.sentence)
        ),
    }
    _tell_areas(ends, put_in, witnesses, console)
    read_ends, read_put_in = ([one for one in pauses if one.sentence is not None] for pauses in (ends, put_in))
    if read_ends and read_put_in:
        console.print("where the language model can tell:")
        _tell_areas(
            read_ends,
            read_put_in,
            {"sentence": lambda pause: evidence(profile, Statements(0.5, sentence=pause.sentence)), **witnesses},
            console,
        )


def _tell_areas(
    ends: Sequence[Pause], put_in: Sequence[Pause], witnesses: Mapping[str, Callable[[Pause], float]], console: Console
) -> None:
    for name, witness in witnesses.items():
        above = mannwhitneyu([witness(pause) for pause in ends], [witness(pause) for pause in put_in]).statistic
        area = above / len(ends) / len(put_in)
        console.print(f"{name}: area under the curve {area:.3f}, of {len(ends)} ends and {len(put_in)} pauses")


def _tell_what_weights_do(spoken: Sequence[Spoken], profile: TurnProfile, console: Console) -> None:
    """The profile's waits, with other weights of the witnesses."""
    table = Table(
        "weight of the voice of three",
        "of the sentence",
        "centre",
        "median, s",
        "p95, s",
        "cut in, plain",
        "with a pause",
    )
    for voice, sentence, centre in product(*WEIGHTS):
        if not sentence and centre != WEIGHTS[2][0]:
            continue  # without weight, its centre is nothing
        weighed = replace(profile, voice_weight_of_three=voice, sentence_weight=sentence, sentence_centre=centre)
        median_s, p95_s, plain, paused = _outcome(spoken, weighed)
        table.add_row(
            *(f"{value:g}" for value in (voice, sentence, centre)),
            *(f"{value:.2f}" for value in (median_s, p95_s)),
            *(f"{value:.1%}" for value in (plain, paused)),
        )
    console.print(table)


def _read(pauses: Path, without: Sequence[str]) -> list[Spoken]:
    rows = map(json.loads, pauses.read_text().splitlines())
    return [
        Spoken(**(row | {"pauses": [Pause(**pause) for pause in row["pauses"]]}))
        for row in rows
        if row["clip"] not in without
    ]


def _policies(profile: TurnProfile) -> Iterator[TurnProfile]:
    sures, soons_s, longests_s = (2.6, 3.2, 3.6, 4.0, 4.6), (0.4, 0.5, 0.55, 0.7, 0.9), (1.0, 1.24, 1.3, 1.5, 1.8)
    for sure, soon_s, longest_s in product(sures, soons_s, longests_s):
        yield _policy(profile, ((sure, soon_s),), longest_s)
    for sure, likely, soon_s, later_s, longest_s in product(
        sures, (1.0, 2.0, 3.0), soons_s, (0.75, 1.0, 1.2), longests_s
    ):
        if likely < sure and soon_s < later_s < longest_s:
            yield _policy(profile, ((sure, soon_s), (likely, later_s)), longest_s)


def _policy(profile: TurnProfile, waits: Waits, longest_s: float) -> TurnProfile:
    return replace(profile, waits=waits, waits_of_three=waits, longest_wait_s=longest_s)


def _told(policy: TurnProfile) -> str:
    if not policy.waits:
        return "always the longest"
    waits, of_three = (str([list(wait) for wait in waits]) for waits in (policy.waits, policy.waits_of_three))
    return waits if waits == of_three else f"{waits}, of three {of_three}"


def _outcome(spoken: Sequence[Spoken], policy: TurnProfile) -> tuple[float, float, float, float]:
    """Median and p95 of the time to the decision, seconds; shares cut in, without and with a pause put in."""
    answered = [(one.inserted_s, one.answered_s(policy)) for one in spoken]
    plain = [at_s for inserted_s, at_s in answered if not inserted_s]
    paused = [at_s for inserted_s, at_s in answered if inserted_s]
    waited = [at_s for at_s in plain if at_s > -math.inf]
    return (
        float(np.quantile(waited, 0.5)),
        float(np.quantile(waited, 0.95)),
        plain.count(-math.inf) / len(plain),
        paused.count(-math.inf) / len(paused),
    )


def _draw(
    results: Sequence[tuple[float, ...]], own: tuple[float, ...], fixed: Sequence[tuple[float, ...]], path: Path
) -> None:
    figure, axes = plt.subplots(figsize=(7, 4.5), layout="constrained")
    axes.plot(
        [r[0] for r in fixed], [100 * r[3] for r in fixed], "o-", color="C1", markersize=4, label="a fixed silence"
    )
    axes.scatter([r[0] for r in results], [100 * r[3] for r in results], s=8, color="0.7", label="policies tried")
    axes.scatter([own[0]], [100 * own[3]], s=60, color="C3", marker="D", label="the profile's")
    axes.axhline(8, color="C0", linewidth=0.8, label="limit")
    axes.set_xlabel("from the end of speech to the decision, median, s")
    axes.set_ylabel("cut in at a pause of 0.3 to 1.2 s, %")
    axes.legend()
    figure.savefig(path, dpi=120)
