"""`s2s compare`: two servers on the same clips, and what changed."""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli import budget as budget_option
from cli import clip_options

if TYPE_CHECKING:  # the harness is imported when the command runs, so that its help is instant
    from rich.console import Console

    from harness.comparison.sides import Server, Stored
    from harness.fixtures import Fixture, TierChoice
    from harness.run_settings import RunSettings
    from harness.targets import TargetName


@click.command()
@click.argument("a")
@click.argument("b")
@click.option(
    "--budget",
    callback=budget_option.parse,
    default="1h",
    show_default=True,
    metavar="TIME",
    help="Play up to so long (90s, 10m, 1h); it ends sooner once everything is decided.",
)
@click.option(
    "--target",
    type=click.Choice(["realtime", "endpoint"]),
    help="How to reach both. [default: /ws in the URL is endpoint, else realtime]",
)
@clip_options.languages
@clip_options.tier
@click.option(
    "--limit",
    type=click.IntRange(1),
    help="At most so many clips a language: few clips are played more often within the budget. [default: all]",
)
@click.option(
    "--report",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder of the report. [default: reports/TIME-compare]",
)
@click.option("--force", is_flag=True, help="Compare what another machine, profile, target or definition measured.")
@click.option("--token-env-a", default="S2S_TOKEN", show_default=True, metavar="NAME", help="Holds the token of A.")
@click.option("--token-env-b", default="S2S_TOKEN", show_default=True, metavar="NAME", help="Holds the token of B.")
@click.pass_context
def compare(
    context: click.Context,
    a: str,
    b: str,
    budget: float | None,
    target: TargetName | None,
    languages: str,
    tier: TierChoice,
    limit: int | None,
    report: Path | None,
    force: bool,
    token_env_a: str,
    token_env_b: str,
) -> None:
    """Say what changed from A, which is trusted, to B, the candidate.

    Each of them is the address of a running server, 'serve' with its options in quotes (it is started for the time of
    the comparison), the folder of a run, or the file of a baseline. Servers are played in one run, A B B A on each clip
    in turn, so that whatever the machine does meanwhile, it does to both.

    \b
    Examples:
      s2s compare ws://127.0.0.1:8080/v1/realtime ws://127.0.0.1:8081/v1/realtime
      s2s compare serve 'serve --lm echo' --language en       what the language model costs
      s2s compare reports/monday reports/tuesday              two runs that are stored, nothing is played
      s2s compare reports/baseline/embedded-realtime-1f2e3d4c.json ws://127.0.0.1:8080/v1/realtime

    \b
    Exit code:
      0  nothing is worse by more than its margin
      1  something is worse, or B was lost
      2  inconclusive: that could not be shown within the budget
      3  invalid: this machine was too busy to measure on, or the two may not be compared
    """
    from rich.console import Console

    from harness.comparison.results import ComparisonError, read
    from harness.comparison.session import choose_clips
    from harness.comparison.sides import parse_side
    from harness.comparison.terminal import print_comparison
    from harness.run import START_ERRORS
    from harness.run_settings import RunSettings, default_folder, parse_languages

    console = Console(highlight=False)
    try:
        sides = parse_side(a), parse_side(b)
        settings = RunSettings(
            folder=report or default_folder("compare"),
            target=target,
            languages=parse_languages(languages),
            tier=tier,
            limit=limit,
            budget_s=budget,
        )
        clips = choose_clips(*sides, settings)
        tokens = os.environ.get(token_env_a), os.environ.get(token_env_b)
        with suppress(KeyboardInterrupt):  # what was measured until then is in the folder, and decided upon
            asyncio.run(_run(console, sides, settings, clips, tokens, force=force))
        comparison = read(settings.folder)
    except (*START_ERRORS, ComparisonError) as error:
        raise _CannotCompareError(str(error)) from error
    print_comparison(comparison, console)
    console.print(f"results: {settings.folder}", markup=False, soft_wrap=True)
    context.exit(comparison.exit_code)


class _CannotCompareError(click.ClickException):
    """Nothing was compared: invalid, which is not the candidate's failure."""

    exit_code = 3


async def _run(
    console: Console,
    sides: tuple[Server | Stored, Server | Stored],
    settings: RunSettings,
    clips: list[Fixture],
    tokens: tuple[str | None, str | None],
    *,
    force: bool,
) -> None:
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    from harness.comparison.session import open_comparison
    from harness.comparison.sides import Server
    from harness.fixtures import describe

    plays = any(isinstance(side, Server) for side in sides)
    said = ""

    def say(what: str) -> None:
        nonlocal said
        if what != said:
            console.print(what, style="dim", markup=False)
        said = what

    say(f"{len(clips)} clips: {describe(clips)}")
    async with open_comparison(*sides, settings, clips, tokens=tokens, force=force, on_progress=say) as comparing:
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[pairs]} pairs"),
            TimeElapsedColumn(),
        )
        with Progress(*columns, console=console) as progress:
            bar = progress.add_task("comparing", total=settings.budget_s, pairs=0)
            async for pair in comparing.rounds():
                progress.update(bar, completed=comparing.elapsed_s, pairs=len(comparing.pairs))
                if not plays:
                    continue
                if pair is None:
                    progress.console.print("a pair was sent too late by this machine", style="dim")
                    continue
                a, b = (s.outcome if s.ttfa_s is None else f"{s.outcome} {s.ttfa_s:.2f} s" for s in (pair.a, pair.b))
                progress.console.print(f"{pair.fixture_id:<28} A {a:<20} B {b}", markup=False, soft_wrap=True)
