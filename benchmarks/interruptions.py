"""`interruptions`: speaks over the embedded server's replies, and counts what ends them and what does not.

One conversation each, as `overlaps.py` has it: everything but the reply's text is the real cascade.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import asdict, replace
from pathlib import Path
from typing import IO, get_args

import click
from rich.console import Console
from rich.table import Table

from benchmarks.callers import progress
from benchmarks.overlaps import REPLIES, Condition, LongReply, Outcome, Overlap, measure
from harness import fixtures
from harness.fixtures import LANGUAGES, NO_SPEECH, Fixture
from harness.statistics import quantile
from pipeline.engine import Engine
from pipeline.languages import Language
from pipeline.lm.base import LanguageModel
from pipeline.loading import load_models
from pipeline.profiles import load_profile
from pipeline.weights import WeightStore

ECHOES = [(level_db, delay_ms) for level_db in (-20, -10, 0) for delay_ms in (60, 150, 300)]
ECHO_LANGUAGES = ("en", "ja")


def plan(conditions: Sequence[Condition], languages: Sequence[str]) -> Iterator[Overlap]:
    for condition in conditions:
        match condition:
            case "interruption" | "backchannel":
                for clip in fixtures.available("synthetic", languages, use=condition):
                    yield Overlap(condition, clip.language, clip)
            case "noise":
                for clip in fixtures.available("recorded", [NO_SPEECH]):
                    yield Overlap(condition, "en", clip)
            case "echo" | "echo and interruption":
                for language in (code for code in ECHO_LANGUAGES if code in languages):
                    clips: list[Fixture | None] = [None]
                    if condition == "echo and interruption":
                        clips = [*fixtures.available("synthetic", [language], use="interruption")]
                    for number, (level_db, delay_ms) in enumerate(ECHOES):
                        yield Overlap(condition, language, clips[number % len(clips)], level_db, delay_ms)


def table(outcomes: Sequence[Outcome]) -> Table:
    shown = Table(title="what is heard over a reply")
    for heading in ("condition", "language", "n", "interrupted", "stopped after: median", "p95", "max", "longest gap"):
        shown.add_column(heading, justify="left" if heading in {"condition", "language"} else "right")
    groups: dict[tuple[str, str], list[Outcome]] = {}
    for outcome in outcomes:
        if outcome.error is None:
            echo = "" if outcome.echo_db is None else f", echo at {outcome.echo_db:.0f} dB"
            name = outcome.condition + echo
            groups.setdefault((name, outcome.language), []).append(outcome)
            groups.setdefault((name, "all"), []).append(outcome)
    names = list(dict.fromkeys(name for name, _ in groups))
    for (name, language), group in sorted(
        groups.items(), key=lambda entry: (names.index(entry[0][0]), entry[0][1] == "all")
    ):
        stops = sorted(outcome.stop_s for outcome in group if outcome.stop_s is not None)
        told = [""] * 3
        if stops:
            told = [f"{at_s:.2f} s" for at_s in (quantile(stops, 0.5).value, quantile(stops, 0.95).value, stops[-1])]
        ended = sum(outcome.interrupted for outcome in group)
        gaps = [outcome.gap_s for outcome in group if not outcome.interrupted]
        shown.add_row(
            name,
            language,
            str(len(group)),
            f"{ended} ({100 * ended / len(group):.0f} %)",
            *told,
            f"{max(gaps):.2f} s" if gaps else "",
        )
    return shown


@click.command()
@click.option(
    "--condition",
    "conditions",
    multiple=True,
    type=click.Choice(get_args(Condition)),
    default=get_args(Condition),
    help="Only this one; may be given several times.",
)
@click.option(
    "--language",
    "languages",
    multiple=True,
    type=click.Choice(LANGUAGES),
    default=LANGUAGES,
    help="Only this one; may be given several times.",
)
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="Write each outcome as a line of JSON.")
def interruptions(conditions: tuple[Condition, ...], languages: tuple[str, ...], out: Path | None) -> None:
    """Speak over replies of the embedded server, and count what ends them.

    An interruption that is not noticed is missed; a backchannel, a noise or an echo that ends a reply is a false
    interruption. "Stopped after" is from the marked start of speech to the last audio that was sent: 0.25 s at most
    is asked for. "Longest gap" is how long the loudspeaker was silent within a reply that went on.

    It takes about a quarter of an hour, in real time: run nothing else beside it. The clips without speech are
    recordings: `s2s fixtures pull` brings them.
    """
    overlaps = list(plan(conditions, languages))
    if not overlaps:
        raise click.ClickException("there are no clips for that; `s2s fixtures list` shows what is here")
    console = Console(width=120) if not sys.stdout.isatty() else Console()
    with out.open("w", encoding="utf-8") if out else nullcontext() as lines:
        outcomes = asyncio.run(run(overlaps, lines))
    console.print(table(outcomes))
    late_s = sorted(outcome.late_s for outcome in outcomes)
    console.print(f"the latest frame of a conversation: median {late_s[len(late_s) // 2] * 1000:.0f} ms late")
    for outcome in outcomes:
        if outcome.error is not None:
            console.print(f"{outcome.clip or outcome.condition}: {outcome.error}", style="red")


async def run(overlaps: Sequence[Overlap], lines: IO[str] | None) -> list[Outcome]:
    profile = load_profile("embedded").with_echo()
    outcomes: list[Outcome] = []
    engine: Engine | None = None
    try:
        with progress() as bar:
            task = bar.add_task("loading", total=len(overlaps))
            models = await load_models(
                profile, WeightStore(), lambda what: bar.update(task, description=f"loading {what}")
            )
            own: dict[Language, LanguageModel] = {language: LongReply(text) for language, text in REPLIES.items()}
            engine = Engine(replace(models, language_models=own), profile)
            openings = {code: fixtures.available("synthetic", [code])[0] for code in LANGUAGES}
            await measure(engine, openings["en"], Overlap("echo", "en"))  # the first call of a model takes longer
            for overlap in overlaps:
                bar.update(task, description=f"{overlap.condition} {overlap.clip.id if overlap.clip else ''}")
                outcomes.append(await measure(engine, openings[overlap.language], overlap))
                if lines is not None:
                    print(json.dumps(asdict(outcomes[-1]), ensure_ascii=False), file=lines, flush=True)
                bar.advance(task)
    finally:
        if engine is not None:
            await engine.aclose()
    return outcomes
