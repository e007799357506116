"""`s2s rescore`: newer measures, other limits or another judge, applied to a stored run."""

from __future__ import annotations

import shutil
from pathlib import Path

import click

from cli.report import folder_of, run_folder, write_reports


@click.command()
@run_folder
@click.option(
    "--gates",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Decide by this file of limits. [default: the limits of the run]",
)
@click.option(
    "--judge",
    type=click.Choice(["whisper-base"]),
    help="Have everything listened to again; it needs the [server] extra. [default: what the run's judge heard]",
)
@click.option(
    "--to",
    type=click.Path(path_type=Path),
    help="Leave the run as it is, and write a copy of it, scored anew, to this folder.",
)
@click.pass_context
def rescore(context: click.Context, run: Path, gates: Path | None, judge: str | None, to: Path | None) -> None:
    """Measure the stored recordings of a run again, by the measures of this version, and decide anew.

    RESULTS is the folder of a run, or the results.jsonl in it. No server is needed: what was measured, and what the
    judge heard, is kept with the run. The results of before stay beside the new ones as results.1.jsonl, the limits of
    before as gates.1.toml. Where nothing comes out differently, nothing is written.

    \b
    Examples:
      s2s rescore reports/20261122-120000-realtime                        after an update of s2s-gate
      s2s rescore reports/20261122-120000-realtime --gates mine.toml      would it have kept these limits?
      s2s rescore reports/20261122-120000-realtime --to reports/anew      leave the run as it is

    \b
    Exit code, as of s2s gate:
      0  pass        1  fail        2  inconclusive        3  invalid, or it cannot be scored
    """
    from rich.console import Console
    from rich.progress import Progress

    from harness import judge as judges
    from harness.gates import GatesError, exit_code
    from harness.reports.terminal import print_summary
    from harness.rescoring import rescore as score_again
    from harness.results import ResultsError, read
    from harness.sequential import LooksError

    console = Console(highlight=False)
    folder = folder_of(run)
    try:
        read(folder)
        if to:
            shutil.copytree(folder, to)
            folder = to
        listener = judges.load(judge) if judge else None
        with Progress(console=console, transient=True) as progress:
            bar = progress.add_task("measuring")
            outcome = score_again(
                folder,
                limits=gates,
                judge=listener,
                on_turn=lambda done, of: progress.update(bar, completed=done, total=of),
            )
        write_reports(folder, console)
    except FileExistsError as error:
        raise _CannotScoreError(f"{to} is there already; name a folder that is not") from error
    except (ResultsError, GatesError, LooksError, judges.JudgeUnavailable, OSError) as error:
        raise _CannotScoreError(str(error)) from error
    print_summary(outcome.results, console)
    if outcome.without_evidence:
        console.print(
            f"{outcome.without_evidence} of {len(outcome.results.turns)} turns keep their figures: they were stored "
            "without their evidence (schema 1)"
        )
    said = f"the results of before: {outcome.kept}" if outcome.kept else "nothing comes out differently"
    console.print(said, markup=False, soft_wrap=True)
    context.exit(exit_code(outcome.results.verdicts))


class _CannotScoreError(click.ClickException):
    """Nothing was decided."""

    exit_code = 3
