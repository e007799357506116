"""`s2s gate`: recordings through a server, measures, a verdict."""

from __future__ import annotations

import asyncio
import os
from contextlib import AsyncExitStack, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli import budget as budget_option
from cli import clip_options

if TYPE_CHECKING:  # the harness is imported when the command runs, so that its help is instant
    from rich.console import Console
    from rich.progress import Progress

    from harness.fixtures import TierChoice
    from harness.results import TurnRow
    from harness.run_settings import RunSettings, Suite
    from harness.targets import TargetName

_TARGETS = ("in-process", "realtime", "endpoint")
_SERVER_LOG = "server.log"
DEFAULT_BASELINE = str(Path("reports", "baseline"))


@click.command()
@click.option(
    "--endpoint", metavar="URL", help="A running server: ws:// or wss://. Without it: the cascade in this process."
)
@click.option(
    "--target",
    type=click.Choice(_TARGETS),
    help="How to reach it. [default: /ws in the URL is endpoint, else realtime]",
)
@click.option("--serve", is_flag=True, help="Start `s2s serve` on a free port for the time of the run, and gate that.")
@click.option(
    "--self-test",
    is_flag=True,
    help="Hold the gate itself against a server of known delays and faults; 4 minutes.",
)
@click.option(
    "--suite",
    "suites",
    type=click.Choice(["turns", "behaviour"]),
    multiple=True,
    default=("turns",),
    show_default=True,
    help="What to play: questions one by one, or conversations with interruptions, noise, pauses; may be given twice.",
)
@clip_options.languages
@clip_options.tier
@click.option("--limit", type=click.IntRange(1), help="At most so many clips a language. [default: all]")
@click.option(
    "--budget",
    callback=budget_option.parse,
    metavar="TIME",
    help="Go on playing up to so long (90s, 10m, 1h) while a limit is undecided. [default: each clip once]",
)
@click.option(
    "--report",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder of the report. [default: reports/TIME-TARGET]",
)
@click.option(
    "--manifest",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Clips of your own, written down as docs/fixtures.md says. [default: the gate's]",
)
@click.option(
    "--audio",
    type=click.Path(path_type=Path, file_okay=False),
    help="Where the files of your own clips are. [default: beside their manifest]",
)
@click.option("--gates", type=click.Path(path_type=Path, dir_okay=False), help="A file of limits of your own.")
@click.option("--profile", help="Whose limits apply. [default: what the server says it runs, else embedded]")
@click.option(
    "--judge",
    type=click.Choice(["whisper-base", "none"]),
    default="whisper-base",
    show_default=True,
    help="What listens to the replies; it needs the [server] extra.",
)
@click.option(
    "--baseline",
    is_flag=False,
    flag_value=DEFAULT_BASELINE,
    metavar="[FILE]",
    help="Compare with what was accepted for this machine, profile and target, or with FILE: worse fails.",
)
@click.option(
    "--history",
    type=click.Path(path_type=Path, dir_okay=False),
    help="To what the run is added, for the trend. [default: reports/history.jsonl]",
)
@click.option("--force", is_flag=True, help="Compare with a baseline of another machine, profile or definition too.")
@click.option(
    "--token-env",
    default="S2S_TOKEN",
    show_default=True,
    metavar="NAME",
    help="The environment variable that holds the server's token.",
)
@click.pass_context
def gate(
    context: click.Context,
    endpoint: str | None,
    target: TargetName | None,
    serve: bool,
    self_test: bool,
    suites: tuple[Suite, ...],
    languages: str,
    tier: TierChoice,
    limit: int | None,
    budget: float | None,
    report: Path | None,
    manifest: Path | None,
    audio: Path | None,
    gates: Path | None,
    profile: str | None,
    judge: str,
    baseline: str | None,
    history: Path | None,
    force: bool,
    token_env: str,
) -> None:
    """Play recordings through a server in real time, measure its answers, and decide.

    Measured are the time from the end of speech to the first audio, word and character errors, and clipping; the limits
    are those of the gates file. The report folder gets the results, every answer as audio, and an HTML page.

    \b
    Examples:
      s2s gate --serve --limit 2                              start a server, two clips a language
      s2s gate                                                the cascade in this process, every clip
      s2s gate --endpoint ws://127.0.0.1:8080/v1/realtime     a running server
      S2S_TOKEN=... s2s gate --endpoint wss://host/ws         a hosted one, binary protocol
      s2s gate --serve --language en,ja --tier synthetic      some languages, the clips that come with it
      s2s gate --serve --manifest calls/manifest.jsonl        recordings of your own
      s2s gate --self-test                                    whether the gate can be trusted on this machine
      s2s gate --serve --baseline                             and fail if it is worse than what was accepted
      s2s gate --serve --suite behaviour                      how it takes turns, in conversations; 15 minutes
      s2s gate --serve --budget 10m                           play on until every limit is decided, 10 minutes at most

    \b
    Exit code:
      0  pass
      1  fail: a limit is broken, or the server was lost
      2  inconclusive: the evidence is not enough for a pass
      3  invalid: this machine was too busy to measure on
    """
    from rich.console import Console

    from harness.fixtures import MANIFEST
    from harness.gates import exit_code
    from harness.history import FILE
    from harness.limits import DEFAULT_PATH
    from harness.reports.terminal import print_summary
    from harness.results import read
    from harness.run import LOST, START_ERRORS
    from harness.run_settings import RunSettings, default_folder, parse_languages
    from harness.targets import infer_target

    if serve and (endpoint or target == "in-process"):
        raise click.UsageError("--serve gates a server of its own: leave out --endpoint, and --target in-process")
    if self_test and (serve or endpoint or target):
        raise click.UsageError("--self-test has a server of its own: leave out --serve, --endpoint and --target")
    console = Console(highlight=False)
    if self_test:
        context.exit(_self_test(console))
    try:
        name = target or ("realtime" if serve else infer_target(endpoint))
        settings = RunSettings(
            folder=report or default_folder(name),
            target=name,
            endpoint=endpoint,
            token=os.environ.get(token_env),
            languages=parse_languages(languages),
            tier=tier,
            limit=limit,
            manifest=manifest or MANIFEST,
            audio=audio or (manifest.parent if manifest else None),
            gates=gates or DEFAULT_PATH,
            judge=None if judge == "none" else judge,
            profile=profile,
            budget_s=budget,
            baseline=Path(baseline) if baseline else None,
            force=force,
            history=history or FILE,
            suites=tuple(dict.fromkeys(suites)),
        )
        with suppress(KeyboardInterrupt):  # what was measured until then is in the folder, and decided upon
            asyncio.run(_run(console, settings, serve=serve))
        results = read(settings.folder)
    except START_ERRORS as error:
        raise _CannotRunError(str(error)) from error
    print_summary(results, console)
    if serve and any(row.gate == LOST for row in results.verdicts):
        console.print(f"what the server said: {settings.folder / _SERVER_LOG}", markup=False, soft_wrap=True)
    console.print(f"report: {settings.folder / 'report.html'}", markup=False, soft_wrap=True)
    context.exit(exit_code(results.verdicts))


def _self_test(console: Console) -> int:
    from client.connection import UnavailableError
    from harness.self_test.driving import Outcome, drive, turns
    from harness.self_test.server import reference_server
    from harness.self_test.table import exit_code, print_outcome

    async def play() -> Outcome:
        async with reference_server() as address:
            with _progress(console) as progress:
                bar = progress.add_task("playing", total=turns())

                def advance(name: str) -> None:
                    progress.update(bar, advance=1, description=name)

                return await drive(address, on_turn=advance)

    try:
        outcome = asyncio.run(play())
    except (UnavailableError, KeyboardInterrupt) as error:
        raise _CannotRunError(str(error) or "stopped before it was through") from error
    print_outcome(outcome, console)
    return exit_code(outcome)


def _progress(console: Console) -> Progress:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=console)


class _CannotRunError(click.ClickException):
    """Nothing was measured: the run is invalid, which is not the server's failure."""

    exit_code = 3


async def _run(console: Console, settings: RunSettings, *, serve: bool) -> None:
    from client import endpoint, realtime
    from harness import fixtures
    from harness.own_server import own_server
    from harness.reports.summary import astray
    from harness.run import open_run
    from harness.run_settings import choose, choose_scenarios

    said = ""

    def say(what: str) -> None:
        nonlocal said
        if what != said:
            console.print(what, style="dim", markup=False)
        said = what

    planned, casting = choose(settings), choose_scenarios(settings)
    if planned:
        say(f"{len(planned)} clips: {fixtures.describe(planned)}")
    if casting.played:
        say(f"{len(casting.played)} scenarios; {len(casting.left_out)} cannot be played")
    async with AsyncExitStack() as stack:
        if serve:
            settings.folder.mkdir(parents=True, exist_ok=True)
            address = await stack.enter_async_context(own_server(settings.folder / _SERVER_LOG, on_progress=say))
            path = endpoint.PATH if settings.target == "endpoint" else realtime.PATH
            settings = replace(settings, endpoint=address + path)
        run = await stack.enter_async_context(open_run(settings, planned, casting, on_progress=say))
        with _progress(console) as progress:
            bar = progress.add_task("playing", total=len(planned) + len(casting.played))

            def show(row: TurnRow) -> None:
                waited = "" if row.latency.ttfa_s is None else f"  first audio after {row.latency.ttfa_s:.2f} s"
                why = f"  {row.error}" if row.error else ""
                progress.console.print(f"{row.fixture_id:<28} {row.outcome}{waited}{why}", markup=False, soft_wrap=True)

            for fixture in planned:
                show(await run.turn(fixture))
                progress.advance(bar)
            for played in casting.played:
                scenario = await run.scenario(played)
                told = "".join(f"  {why}" for _, why in astray([scenario]))
                said = f"{scenario.scenario_id:<28} {scenario.outcome}{told}"
                progress.console.print(said, markup=False, soft_wrap=True)
                progress.advance(bar)
            if settings.budget_s is None or not planned:
                return
            bar = progress.add_task("deciding (seconds)", total=round(settings.budget_s))
            async for row in run.replays():
                show(row)
                progress.update(bar, completed=min(round(run.elapsed_s), round(settings.budget_s)))
            progress.update(bar, total=round(run.elapsed_s), completed=round(run.elapsed_s))
