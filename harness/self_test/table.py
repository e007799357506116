"""The self-test as people see it, and what its exit code is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import groupby

import numpy as np
from rich.console import Console, RenderableType
from rich.table import Table

from harness import machine
from harness.self_test.driving import Deviation, Found, Outcome

LIMIT_S = 0.002
"""Within this (p95) each programmed time has to be found."""
FEWEST_CLEAN = 30


def errors_ms(deviations: Sequence[Deviation]) -> list[float]:
    """How far off each measurement is, milliseconds; infinite where there is none."""
    return [math.inf if d.measured_s is None else 1000 * (d.measured_s - d.programmed_s) for d in deviations]


def p95_ms(deviations: Sequence[Deviation]) -> float:
    """Of the sizes of the errors, by nearest rank."""
    return float(np.quantile(np.abs(errors_ms(deviations)), 0.95, method="inverted_cdf"))


def by_quantity(outcome: Outcome) -> dict[str, list[Deviation]]:
    """The deviations of each quantity, in the order in which they were first seen."""
    found: dict[str, list[Deviation]] = {}
    for deviation in outcome.deviations:
        found.setdefault(deviation.quantity, []).append(deviation)
    return found


def failures(outcome: Outcome) -> list[str]:
    """What is wrong with the instrument, in words; nothing where it may be trusted."""
    wrong = [
        f"{quantity}: the error is {p95_ms(deviations):.2f} ms (p95), and may be {1000 * LIMIT_S:.0f} ms"
        for quantity, deviations in by_quantity(outcome).items()
        if not p95_ms(deviations) <= 1000 * LIMIT_S
    ]
    wrong += [
        f"not found on {fault.protocol}: {fault.name} ({fault.told})" for fault in outcome.faults if not fault.is_right
    ]
    wrong += [f"found on a good reply: {what}" for what in outcome.false_findings]
    wrong += [f"gate {gate.name}, not {gate.expected}: {gate.told}" for gate in outcome.gates if not gate.is_right]
    if outcome.clean < FEWEST_CLEAN:
        wrong.append(f"only {outcome.clean} good replies could be measured")
    return wrong


def exit_code(outcome: Outcome) -> int:
    """0 the instrument may be trusted, 1 it may not, 3 this machine was too busy to say."""
    if outcome.late:
        return 3
    return 1 if failures(outcome) else 0


def print_outcome(outcome: Outcome, console: Console) -> None:
    for table in (_errors(outcome), _faults(outcome.faults), _gates(outcome.gates)):
        console.print(table)
    console.print(
        f"{outcome.clean} good replies, {len(outcome.false_findings)} with a false finding; the sender was at most "
        f"{1000 * max(outcome.sender_late_s, default=0.0):.1f} ms late (p99 of a turn)",
        soft_wrap=True,
    )
    console.print(
        f"part of the errors: the reference server was itself {_typical_and_largest_ms(outcome.server_late_s)} late "
        f"(at worst in a turn: median, largest); this machine's calibration loop takes {machine.calibrate():.1f} ms",
        soft_wrap=True,
    )
    if outcome.late:
        console.print(
            f"invalid: in {outcome.late} turns this machine sent its frames late, time and again; close other programs",
            soft_wrap=True,
        )
    for what in failures(outcome):
        console.print(f"wrong: {what}", markup=False, soft_wrap=True)
    if not outcome.late and not failures(outcome):
        console.print("the instrument may be trusted on this machine")


def _typical_and_largest_ms(lateness_s: Sequence[float]) -> str:
    if not lateness_s:
        return "not known to be"
    return f"{1000 * np.median(lateness_s):.2f} and {1000 * max(lateness_s):.2f} ms"


def _errors(outcome: Outcome) -> RenderableType:
    table = Table(title="programmed against measured, ms")
    for column in ("quantity", "n", "programmed", "p50", "p95", "largest"):
        table.add_column(column, justify="left" if column == "quantity" else "right")
    for quantity, deviations in by_quantity(outcome).items():
        sizes = np.abs(errors_ms(deviations))
        told = [1000 * deviation.programmed_s for deviation in deviations]
        table.add_row(
            quantity,
            str(len(deviations)),
            f"{min(told):.0f} to {max(told):.0f}",
            f"{np.median(sizes):.2f}",
            f"{p95_ms(deviations):.2f}",
            f"{sizes.max():.2f}",
        )
    return table


def _faults(faults: Sequence[Found]) -> RenderableType:
    table = Table("fault", "is found as", "realtime", "/ws", title="faults")
    for name, group in groupby(faults, key=lambda fault: fault.name):
        found = {fault.protocol: fault for fault in group}
        cells = [
            "" if protocol not in found else "found" if found[protocol].is_right else "MISSED"
            for protocol in ("realtime", "endpoint")
        ]
        table.add_row(name, next(iter(found.values())).expected, *cells)
    return table


def _gates(decided: Sequence[Found]) -> RenderableType:
    table = Table("gate", "must be", "", title="gates")
    for gate in sorted(decided, key=lambda gate: gate.name):
        table.add_row(gate.name, gate.expected, "seen" if gate.is_right else "NOT SEEN")
    return table
