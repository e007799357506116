"""`s2s report`: every view of a stored run, made again."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:  # imported when the command runs, so that its help is instant
    from rich.console import Console

run_folder = click.argument("run", metavar="RESULTS", type=click.Path(path_type=Path, exists=True))


def folder_of(run: Path) -> Path:
    """A run is named by its folder or by the results file in it."""
    return run if run.is_dir() else run.parent


def write_reports(folder: Path, console: Console, history: Path | None = None) -> list[Path]:
    """Every view of the run in `folder`, with a bar meanwhile; returns their paths. With a history, its trend too.

    Raises:
        harness.results.ResultsError: the results cannot be read.
        OSError: the folder cannot be written.
    """
    from rich.progress import Progress

    from harness import history as nights
    from harness import reports, results

    trend = nights.points(results.read(folder), history) if history else []
    with Progress(console=console, transient=True) as progress:
        bar = progress.add_task("drawing the turns")
        return reports.write_all(
            folder, trend=trend, on_turn=lambda done, of: progress.update(bar, completed=done, total=of)
        )


@click.command()
@run_folder
@click.option(
    "--history",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="Draw the trend of the runs like it: the history that `s2s gate --history` wrote.",
)
def report(run: Path, history: Path | None) -> None:
    """Make every view of a stored run again: the summary here, report.html, junit.xml and summary.md in its folder.

    RESULTS is the folder of a run, or the results.jsonl in it. Nothing is measured or decided anew; the same results
    give the same bytes.

    \b
    Examples:
      s2s report reports/20261122-120000-realtime
      s2s report downloaded/results.jsonl
      s2s report reports/20261122-120000-realtime --history reports/history.jsonl
    """
    from rich.console import Console

    from harness import results
    from harness.reports.terminal import print_summary

    console = Console(highlight=False)
    folder = folder_of(run)
    try:
        paths = write_reports(folder, console, history)
        print_summary(results.read(folder), console)
    except (results.ResultsError, OSError) as error:
        raise click.ClickException(str(error)) from error
    for path in paths:
        console.print(str(path), markup=False, soft_wrap=True)
