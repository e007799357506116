"""Measurements as tables, with what they would be on an L4."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from benchmarks.bars import Bar
from benchmarks.gpu.cards import L4, Card, known
from benchmarks.gpu.records import Machine, Row
from benchmarks.gpu.work import Work

MOST_BY_FLOOR = 1 / 0.7
"""A token may take so many times the floor: 70 % of its speed."""
_TITLES = {
    "decode": "Tokens",
    "prompt": "Prompts",
    "stage": "Hearing and speaking",
    "turn": "The whole turn",
}


def floor_ms(machine: Machine, row: Row) -> float | None:
    """By the bandwidth that was measured: what a step reads must come from memory."""
    return None if row.work is None else row.work.bytes / machine.bandwidth_gb_s / 1e6


def on_an_l4_ms(machine: Machine, row: Row) -> float | None:
    """The same on an L4, if the device's own time is by its roofline as here, and the host's time is the same.

    None where the device's time is not known, or its data sheet.
    """
    card = known(machine.name)
    if card is None or row.work is None or row.device_ms is None:
        return None
    return row.host_ms + row.device_ms * L4.least_s(row.work) / card.least_s(row.work)


def bars(machine: Machine, rows: Sequence[Row]) -> list[Bar]:
    """Of one conversation, usual and long; on a CPU they are only told."""
    limit = MOST_BY_FLOOR if machine.device == "cuda" and not machine.tiny else None
    alone = [row for row in rows if row.group == "decode" and row.conversations == 1]
    return [
        Bar(f"{row.profile}: {row.what}, by the floor", row.median_ms / floor, "times", limit)
        for row in alone
        if (floor := floor_ms(machine, row)) is not None
    ]


def markdown(machine: Machine, rows: Sequence[Row], *, left_out: Sequence[str]) -> str:
    """For `docs/performance.md`."""
    what = "TINY SHAPES, which say nothing of the real ones; " if machine.tiny else ""
    parts = [
        (
            f"{what}{machine.name}, torch {machine.torch} (CUDA {machine.cuda}), transformers {machine.transformers}; "
            f"measured {machine.bandwidth_gb_s:.0f} GB/s and {machine.half_tflops:.0f} TFLOPS (bfloat16)."
        ),
        *(f"Left out: {one}." for one in left_out),
    ]
    for group, title in _TITLES.items():
        found = [row for row in rows if row.group == group]
        if not found:
            continue
        heads = [
            "profile",
            "conversations",
            "what",
            "median",
            "p95",
            "device",
            "floor",
            "tokens/s",
            "memory",
            "on an L4",
        ]
        parts.append(f"### {title}\n\n{_table(heads, [_cells(machine, row) for row in found])}")
    return "\n\n".join(parts) + "\n"


def _cells(machine: Machine, row: Row) -> list[str]:
    floor = floor_ms(machine, row)
    share = f"{_ms(floor)} ({floor / row.median_ms:.0%})" if floor is not None else "–"
    speed = f"{1e3 * row.conversations / row.median_ms:.0f}" if row.group == "decode" else "–"
    memory = "–" if row.memory_gb is None else f"{row.memory_gb:.1f} GB"
    told = [
        _ms(row.median_ms),
        _ms(row.p95_ms),
        _ms(row.device_ms),
        share,
        speed,
        memory,
        _ms(on_an_l4_ms(machine, row)),
    ]
    return [row.profile or "both", str(row.conversations), row.what, *told]


def on_paper(card: Card, works: Mapping[str, Work]) -> str:
    """The least that each stage takes by a data sheet: no measurement."""
    lines = []
    for what, work in works.items():
        tflops = card.half_tflops if work.half else card.single_tflops
        by_bytes, by_flops = work.bytes / card.bandwidth_gb_s / 1e6, work.flops / tflops / 1e9
        told = [f"{work.bytes / 1e9:.2f} GB", f"{work.flops / 1e12:.3f} T", _ms(by_bytes), _ms(by_flops)]
        lines.append([what, *told, _ms(1e3 * card.least_s(work))])
    return _table(["", "bytes", "operations", "by bytes", "by operations", "at least"], lines)


def _table(heads: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(cells)} |" for cells in [heads, ["---"] * len(heads), *lines])


def _ms(milliseconds: float | None) -> str:
    return "–" if milliseconds is None else f"{milliseconds:.3g} ms"
