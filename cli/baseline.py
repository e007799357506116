"""`s2s baseline`: a run that later ones are compared with."""

from __future__ import annotations

from pathlib import Path

import click

_folder = click.option(
    "--folder",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("reports", "baseline"),
    show_default=True,
    help="Where baselines are kept.",
)


@click.group()
def baseline() -> None:
    """Accept a run as the yardstick for later ones, and show what was accepted.

    There is one baseline for each machine, profile and target; `s2s gate --baseline` compares with it.

    \b
    Examples:
      s2s baseline accept reports/20261124-020000-realtime     this run is how it should be
      s2s baseline accept reports/2026112[2-4]*-realtime       three nights of it, which make better pairs
      s2s baseline show
      s2s gate --serve --baseline                              is this build worse?
    """


@baseline.command()
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True, file_okay=False))
@_folder
@click.option("--force", is_flag=True, help="Also what broke its limits, or runs that are not alike.")
def accept(runs: tuple[Path, ...], folder: Path, *, force: bool) -> None:
    """Make the baseline of one RUN's folder, or of several that are alike; an older one is replaced."""
    from harness.baseline import BaselineError, load
    from harness.baseline import accept as make
    from harness.results import ResultsError

    try:
        path = make(runs, folder, force=force)
    except (BaselineError, ResultsError, OSError) as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"accepted: {len(load(path).samples)} turns, in {path}")


@baseline.command()
@_folder
def show(folder: Path) -> None:
    """List the baselines, with what they were measured on and the median time to first audio."""
    from rich.console import Console

    from harness.baseline import SUFFIX, BaselineError, describe, load

    console = Console(highlight=False)
    files = sorted(folder.glob(f"*{SUFFIX}"))
    if not files:
        console.print(f"no baseline in {folder}; `s2s baseline accept RUN` makes one of a run", markup=False)
    for path in files:
        try:
            lines = describe(load(path))
        except BaselineError as error:
            raise click.ClickException(str(error)) from error
        console.print(str(path), style="bold", markup=False, soft_wrap=True)
        for line in lines:
            console.print(f"  {line}", markup=False, soft_wrap=True)
