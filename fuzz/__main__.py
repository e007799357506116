"""`python -m fuzz`: a coverage-guided fuzzer (atheris, which is libFuzzer for Python) on every parser."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from fuzz.corpus import CORPUS
from fuzz.targets import TARGETS

LONGEST_INPUT = 4_096
HANG_S = 60
MEMORY_MB = 2_048
_EXCEPTION = "=== Uncaught Python exception: ==="
"""By which its library begins to tell one."""


# How libFuzzer ends, beside 0 when its time is up.
_ENDINGS = {70: "hung", 71: "took too much memory", 72: "interrupted", 77: "failed"}


@dataclass(frozen=True, slots=True)
class Slice:
    """What came of one target's time.

    Attributes:
        lasted_s: how long its process ran.
        executions: how often the parser was called; None where the fuzzer did not come to say so.
        covered: edges of the code that any input has reached.
        ended: why before its time; empty where that was up.
        found: the input that made it fail, if one did.
        log: what the fuzzer said.
    """

    target: str
    lasted_s: float
    executions: int | None
    covered: int
    ended: str
    found: Path | None
    log: str


@click.command()
@click.argument("targets", nargs=-1, type=click.Choice(list(TARGETS)))
@click.option("--seconds", default=30, show_default=True, type=click.IntRange(1), help="For each target.")
@click.option(
    "--work",
    default=Path(".fuzz"),
    show_default=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Where inputs that reached something new are kept for the next run, and what made a parser fail.",
)
def main(targets: tuple[str, ...], seconds: int, work: Path) -> None:
    """Throw bytes at the parsers, all of them or those named, and exit with 1 if one ends before its time.

    A failure is an exception that the parser is not documented to raise, a minute for one input, or 2 GB of memory. The
    table says why each fuzzer ended, and TARGET.log in the folder `--work` has all that it said. The input that failed
    is written there too; copy it to fuzz/corpus/TARGET/ with a name that says what it is, and the tests replay it from
    then on. Needs `pip install 's2s-gate[fuzz]'`.

    \b
    Examples:
      python -m fuzz                            # each target for 30 s
      nice -n 19 python -m fuzz --seconds 300   # an hour in all
      python -m fuzz event session --seconds 60
    """
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
    slices = []
    with Progress(*columns, console=console, transient=True) as bar:
        chosen = targets or tuple(TARGETS)
        todo = bar.add_task("", total=len(chosen) * seconds)
        for number, target in enumerate(chosen):
            bar.update(todo, description=target, completed=number * seconds)
            slices.append(_fuzz(target, seconds, work))
    table = Table("target", "executions", "edges covered", "ended", title=f"{seconds} s each")
    for done in slices:
        executions = "unknown" if done.executions is None else f"{done.executions:,}"
        ended = f"{done.ended} after {done.lasted_s:.0f} s" if done.ended else "its time was up"
        table.add_row(done.target, executions, f"{done.covered:,}", f"{ended}{f': {done.found}' if done.found else ''}")
    Console().print(table)
    for done in slices:
        if done.ended:
            why = done.log.partition(_EXCEPTION)[2] or done.log[-2_000:] or "it said nothing"
            console.print(f"{done.target}: {done.ended}\n{why[:4_000]}", highlight=False, markup=False)
    sys.exit(any(done.ended for done in slices))


def _fuzz(target: str, seconds: int, work: Path) -> Slice:
    kept, failed = work / "reached" / target, work / "failed" / target
    for folder in (kept, failed, CORPUS / target):
        folder.mkdir(parents=True, exist_ok=True)
    began_s = time.time()
    options: dict[str, object] = {
        "max_total_time": seconds,
        "max_len": LONGEST_INPUT,
        "timeout": HANG_S,
        "report_slow_units": 10**6,  # what is merely slow would be written beside what failed
        "rss_limit_mb": MEMORY_MB,
        "artifact_prefix": f"{failed}/",
        "print_final_stats": 1,
    }
    if words := _words(CORPUS / target):
        (work / f"{target}.words").write_text(words)
        options["dict"] = work / f"{target}.words"
    command = [sys.executable, "-m", "fuzz.one", target, *(f"-{name}={value}" for name, value in options.items())]
    done = subprocess.run([*command, str(kept), str(CORPUS / target)], capture_output=True, text=True, errors="replace")  # noqa: S603 - our own module
    lasted_s = time.time() - began_s
    log = done.stdout + done.stderr
    (work / f"{target}.log").write_text(log)
    made = re.search(r"stat::number_of_executed_units:\s*(\d+)", log)
    covered = re.findall(r"cov: (\d+)", log)
    found = next((file for file in failed.iterdir() if file.stat().st_mtime >= began_s), None)
    why = ending(done.returncode, lasted_s, seconds)
    if found and not _fails_again(target, found):
        # A process that is stopped for a while has hung, by its clock; so has one on a machine that is far too busy.
        why += ", and does not when it is given the same input again,"
    return Slice(
        target,
        lasted_s,
        int(made[1]) if made else None,
        int(covered[-1]) if covered else 0,
        why,
        found,
        log,
    )


def _fails_again(target: str, found: Path) -> bool:
    command = [sys.executable, "-m", "fuzz.one", target, f"-timeout={HANG_S}", f"-rss_limit_mb={MEMORY_MB}", str(found)]
    return subprocess.run(command, capture_output=True, check=False).returncode != 0  # noqa: S603 - our own module


def ending(returncode: int, lasted_s: float, seconds: int) -> str:
    """Why the process of a fuzzer ended before its time, in words; empty where that was up."""
    if returncode < 0:
        return f"killed by {signal.Signals(-returncode).name}"
    if returncode:
        return _ENDINGS.get(returncode, f"ended with exit code {returncode}")
    # Its clock counts whole seconds, from a little after the start of its process.
    return "stopped, and said that all was well" if lasted_s < seconds - 1 else ""


def _words(examples: Path) -> str:
    """What stands in quotes in the examples, as a dictionary of libFuzzer: by chance it would find none of them."""
    found = {word for file in examples.iterdir() for word in re.findall(rb'"[ -!#-\[\]-~]{1,40}"', file.read_bytes())}
    return "".join(f'"\\"{word[1:-1].decode()}\\""\n' for word in sorted(found))


if __name__ == "__main__":
    main()
