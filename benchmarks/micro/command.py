"""`micro`: whether anything on the hot paths has become slower than what was accepted."""

from __future__ import annotations

import math
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from statistics import median

import click
from rich.console import Console
from rich.table import Column, Table

from benchmarks.micro.comparing import ALARMS, CLOCK, FACTOR, Comparison, Verdict, compare, load, ratios, save

BENCHMARKS = Path(__file__).parent
ROOT = BENCHMARKS.parents[1]
ACCEPTED = BENCHMARKS / "accepted.json"
AGAIN = 2
"""So often is measured once more what looks slower, and the fastest counts: noise passes, slowness does not."""

RUNS_TO_ACCEPT = 3
"""Of which the median is accepted: a calibration loop that was disturbed makes what it stands beside look fast."""

_SECONDS_EACH = 0.1
_SECONDS_A_ROUND = 0.001
"""What takes microseconds is done so often that a stumble of the clock is small beside it."""
_STYLES: dict[Verdict, str] = {"as accepted": "", "faster": "green"}


@click.command()
@click.option("--accept", is_flag=True, help="Take what is measured now, three times, for how it should be.")
@click.option("--only", metavar="WORDS", help="Those whose names have these words in them, like pytest's -k.")
def micro(accept: bool, only: str | None) -> None:
    """Time the hot paths, and compare with what was accepted; half a minute.

    Each is timed in loops of a fixed piece of work around it, so that the speed of the machine divides out, and by the
    processor's clock, so that what else runs on it does; what most of them take longer, up to a quarter, is the
    machine's. Exit code 1: something takes 1.6 times as long as accepted, or has not been accepted yet. A change that
    is meant to be slower is accepted by --accept, and the file committed.
    """
    runs = [measure(BENCHMARKS, only) for _ in range(RUNS_TO_ACCEPT if accept else 1)]
    found = {name: median(run[name] for run in runs) for name in runs[0]}
    before = load(ACCEPTED)
    if accept:
        save({**(before if only else {}), **found}, ACCEPTED)
        before = load(ACCEPTED)
    comparisons = settled(
        BENCHMARKS, found, {name: ratio for name, ratio in before.items() if not only or name in found}
    )
    show(comparisons)
    sys.exit(any(one.verdict in ALARMS for one in comparisons))


def settled(folder: Path, found: dict[str, float], accepted: Mapping[str, float]) -> list[Comparison]:
    """The comparison, after everything that looked slower was measured again."""
    for _ in range(AGAIN):
        slower = [one.name for one in compare(found, accepted) if one.verdict == "slower"]
        if slower:
            again = measure(folder, " or ".join(dict.fromkeys(name.partition("[")[0] for name in slower)))
            found = {name: min(ratio, again.get(name, math.inf)) for name, ratio in found.items()}
    return compare(found, accepted)


def measure(folder: Path, only: str | None = None) -> dict[str, float]:
    """The benchmarks of a folder in a process of their own: name to ratio.

    Raises:
        click.ClickException: one of them failed.
    """
    with tempfile.TemporaryDirectory() as temporary:
        timings = Path(temporary, "timings.json")
        options = {
            "timer": f"{CLOCK.__module__}.{CLOCK.__name__}",
            "max-time": _SECONDS_EACH,
            "min-rounds": 3,
            "min-time": _SECONDS_A_ROUND,
            "json": timings,
        }
        arguments = [f"--benchmark-{name}={value}" for name, value in options.items()]
        arguments += ["--benchmark-disable-gc", "--benchmark-quiet", "-q", *(["-k", only] if only else [])]
        # Linear algebra in several threads costs more processor time than in one, by how busy the machine is.
        environment = os.environ | {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
        command = [sys.executable, "-m", "pytest", str(folder), "-p", "no:cacheprovider", "-p", "no:xdist", *arguments]
        if subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode:  # noqa: S603 - this very Python
            raise click.ClickException("the benchmarks could not be run; what pytest says of it is above")
        return ratios(timings)


def show(comparisons: list[Comparison]) -> None:
    """Print them, what changed most first."""
    table = Table(
        Column("benchmark", overflow="fold"),
        "loops",
        "accepted",
        "times",
        "",
        title=f"Hot paths: slower from {FACTOR} times on"
        + (f"; {machine:.2f} times is the machine's" if (machine := comparisons[0].machine) > 1 else ""),
    )
    for one in sorted(comparisons, key=lambda one: -(one.change if one.change > 0 else math.inf)):
        told = ["–" if figure is None else f"{figure:.3g}" for figure in (one.ratio, one.accepted)]
        times = "–" if math.isnan(one.change) else f"{one.change:.2f}"
        table.add_row(one.name.replace("[", r"\["), *told, times, one.verdict, style=_STYLES.get(one.verdict, "red"))
    Console().print(table)
