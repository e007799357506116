#!/usr/bin/env python3
"""Breaks each measure and each gate in turn, and says which breaks the tests do not notice.

    python scripts/mutate.py                          all of scripts/mutants.toml, some ten minutes
    python scripts/mutate.py harness/gates.py         those of one file

Each mutant is one replacement of source text, made in a copy of the checkout, in which the tests named beside it are
run. Exit code: 0 every mutant was noticed, 1 some survived, or their text is no longer in the source.
"""

from __future__ import annotations

import importlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import tomllib
from dataclasses import dataclass
from pathlib import Path

import click
import pytest
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

ROOT = Path(__file__).resolve().parents[1]
MUTANTS = Path(__file__).with_name("mutants.toml")
LOADED = ("hypothesis", "jinja2", "jiwer", "numpy", "pyloudnorm", "scipy.signal", "scipy.special", "soundfile", "soxr")
"""Beforehand, once: a mutant takes seconds, and most of them would go into these."""
LONGEST_S = 300
"""A mutant that never ends is noticed, too."""


@dataclass(frozen=True, slots=True)
class Mutant:
    """`before` stands once in `file` and becomes `after`; one of `tests` has to fail."""

    file: str
    before: str
    after: str
    tests: tuple[str, ...]


def read(path: Path = MUTANTS) -> list[Mutant]:
    """The mutants of a file like `mutants.toml`."""
    tables = tomllib.loads(path.read_text(encoding="utf-8"))["source"]
    return [
        Mutant(table["file"], before, after, tuple(table["tests"]))
        for table in tables
        for before, after in table["mutants"]
    ]


def copy_checkout(to: Path) -> None:
    """What git knows of, and what it would: the copy is broken, not the checkout."""
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],  # noqa: S607 - git is found by its name
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    for name in filter(None, listing.stdout.decode().split("\0")):
        if (ROOT / name).is_file():
            (to / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, to / name)


def passes(checkout: Path, tests: tuple[str, ...]) -> bool:
    """Whether the tests pass there, in a fork of this process, which has loaded all that they need but the checkout.

    They are drawn the same each time, so that a mutant's fate is the same, too.
    """
    child = os.fork()
    if not child:
        signal.alarm(LONGEST_S)
        silence = os.open(os.devnull, os.O_WRONLY)
        os.dup2(silence, 1)
        os.dup2(silence, 2)
        os.environ["HYPOTHESIS_PROFILE"] = "unshrunk"  # that a test fails is enough, on however large an example
        os.chdir(checkout)
        sys.path.insert(0, str(checkout))
        os._exit(pytest.main(["-x", "-q", "-p", "no:cacheprovider", "--hypothesis-seed=0", *tests]))
    return os.waitpid(child, 0)[1] == 0


@click.command()
@click.argument("files", nargs=-1)
def main(files: tuple[str, ...]) -> None:
    """Break each measure and each gate in turn, and say which breaks the tests do not notice.

    \b
    Example:
      python scripts/mutate.py harness/measures/latency.py harness/gates.py
    """
    console = Console(highlight=False)
    sys.dont_write_bytecode = True
    for name in LOADED:
        importlib.import_module(name)
    mutants = [mutant for mutant in read() if not files or mutant.file in files]
    stale = [mutant for mutant in mutants if (ROOT / mutant.file).read_text(encoding="utf-8").count(mutant.before) != 1]
    survivors: list[Mutant] = []
    with tempfile.TemporaryDirectory(prefix="s2s-mutants-") as folder:
        checkout = Path(folder)
        copy_checkout(checkout)
        for tests in dict.fromkeys(mutant.tests for mutant in mutants):
            if not passes(checkout, tests):
                raise click.ClickException(f"{' '.join(tests)} fails before anything is broken; mend that first")
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, console=console) as progress:
            bar = progress.add_task("breaking", total=len(mutants))
            for mutant in mutants:
                progress.update(bar, description=mutant.file)
                if mutant not in stale and passes_when_broken(checkout, mutant):
                    survivors.append(mutant)
                    progress.console.print(
                        f"survives: {mutant.file}: {mutant.before!r} -> {mutant.after!r}", markup=False
                    )
                progress.advance(bar)
    for mutant in stale:
        console.print(f"not once in {mutant.file}: {mutant.before!r}; correct it in {MUTANTS.name}", markup=False)
    console.print(
        f"{len(mutants)} mutants, {len(mutants) - len(stale) - len(survivors)} noticed, {len(survivors)} survive"
    )
    sys.exit(bool(survivors or stale))


def passes_when_broken(checkout: Path, mutant: Mutant) -> bool:
    """Whether the tests pass although the mutant is in place."""
    path = checkout / mutant.file
    whole = path.read_text(encoding="utf-8")
    path.write_text(whole.replace(mutant.before, mutant.after), encoding="utf-8")
    try:
        return passes(checkout, mutant.tests)
    finally:
        path.write_text(whole, encoding="utf-8")


if __name__ == "__main__":
    main()
