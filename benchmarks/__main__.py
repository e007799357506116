"""`python -m benchmarks`: each command measures one thing, prints it, and fails if one of its bars is missed."""

from __future__ import annotations

import click

from benchmarks.batching import batching
from benchmarks.clauses import clauses
from benchmarks.crowd import crowd
from benchmarks.end_of_turn import end_of_turn
from benchmarks.gpu import gpu
from benchmarks.hearing import hearing
from benchmarks.interruptions import interruptions
from benchmarks.leaks import leaks
from benchmarks.micro.command import micro
from benchmarks.siege import siege
from benchmarks.tax import tax


@click.group()
def main() -> None:
    """Measure what the tests cannot: speed, memory, many callers at once.

    Each command prints a table; where there are bars to hold it says so, and exits with 1 if one is missed. Nothing
    else should run on the machine meanwhile. `--help` behind a command says what it does and how long it takes.
    """


for command in (tax, micro, crowd, leaks, batching, end_of_turn, hearing, clauses, interruptions, siege, gpu):
    main.add_command(command)

if __name__ == "__main__":
    main()
