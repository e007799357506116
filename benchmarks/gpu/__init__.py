"""`gpu`: the production shapes of the profiles for a GPU, measured, and on paper."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import click

from benchmarks.bars import settle
from benchmarks.callers import progress
from benchmarks.gpu import records, shapes
from benchmarks.gpu.cards import KNOWN, L4, measured_bandwidth_gb_s, measured_half_tflops
from benchmarks.gpu.records import Machine, Row, Scenario, Stopwatch
from benchmarks.gpu.report import bars, markdown, on_paper
from benchmarks.gpu.shapes import Shapes
from benchmarks.gpu.work import Work
from harness.jsonlines import encode
from pipeline.machine import Machine as Here
from pipeline.profiles.engines import Device

PROFILES = tuple(shapes.PRODUCTION.language_models)


@click.group()
def gpu() -> None:
    """The engines of `l4` and `l4-small` at their real size, with random weights where real ones cannot be had."""


@gpu.command()
@click.option("--device", type=click.Choice(["cuda", "cpu"]), default="cuda", show_default=True)
@click.option("--tiny", is_flag=True, help="Networks of a few thousand weights: tries the program, measures nothing.")
@click.option("--profile", type=click.Choice(PROFILES), default=PROFILES[0], show_default=True)
@click.option("--turns", type=click.IntRange(5), help="How often each stage and turn is gone through. [default: 50]")
@click.option("--weights", type=click.Path(file_okay=False, exists=True), help="Where 17 GB may be written meanwhile.")
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), default=Path("reports/gpu"), show_default=True)
@click.pass_context
def measure(
    context: click.Context,
    device: Device,
    tiny: bool,
    profile: str,
    turns: int | None,
    weights: str | None,
    out: Path,
) -> None:
    """Measure each stage and the whole turn, warm: wall clock and CUDA events, one conversation and several.

    Writes OUT/PROFILE.jsonl and OUT/PROFILE.md, the second for docs/performance.md. The bar: for one conversation, 70 %
    of the tokens a second that the memory's measured bandwidth allows. Takes some minutes (an estimate: with a third as
    many turns it took 85 s on an H100). Without Kokoro's weights (`s2s weights pull`), English speech is left out, and
    said to be.

    \b
    Examples:
      python -m benchmarks gpu measure --profile l4
      python -m benchmarks gpu measure --profile l4-small --out /tmp/measured
      python -m benchmarks gpu measure --tiny --device cpu      the same code, on any machine

    \b
    Exit code:
      0  the bars are held
      1  one is missed
      2  this machine cannot: there is no GPU, or torch is missing
    """
    if problem := _problem(device):
        click.echo(problem, err=True)
        context.exit(2)
    sizes, scenario = (shapes.TINY, records.TINY) if tiny else (shapes.PRODUCTION, records.PRODUCTION)
    if turns is not None:
        scenario = replace(scenario, turns=turns)
    machine = _machine(device, tiny)
    rows, left_out = _measured(machine, sizes, scenario, profile, weights)
    out.mkdir(parents=True, exist_ok=True)
    lines = [encode(machine), encode(scenario), *map(encode, rows)]
    (out / f"{profile}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    told = markdown(machine, rows, left_out=left_out)
    (out / f"{profile}.md").write_text(told, encoding="utf-8")
    click.echo(told)
    settle("One conversation, against the memory's bandwidth", bars(machine, rows))


@gpu.command()
@click.option("--card", "name", type=click.Choice([card.name for card in KNOWN]), default=L4.name, show_default=True)
def paper(name: str) -> None:
    """The least that each stage takes by a card's data sheet: bytes over bandwidth, or operations over their rate.

    Arithmetic, no measurement: nothing of Python, of kernels that wait for each other, or of a bandwidth that no kernel
    reaches is in it. Needs no GPU; with the gpu extra installed, what speaking takes is counted too, which takes a
    minute.
    """
    (card,) = (card for card in KNOWN if card.name == name)
    works = dict(_on_paper(records.PRODUCTION))
    if importlib.util.find_spec("torch"):
        from benchmarks.gpu.speech import speaking_works

        works |= speaking_works(shapes.PRODUCTION)
    else:
        click.echo("torch is not installed, so Kokoro and VITS are left out: `pip install 's2s-gate[gpu]'`", err=True)
    click.echo(on_paper(card, works))


def _on_paper(scenario: Scenario) -> Iterator[tuple[str, Work]]:
    whisper, seconds = shapes.PRODUCTION.whisper, scenario.window_s
    yield f"Whisper, encoder, {seconds:g} s", whisper.hear(seconds)
    left = whisper.write(1, seconds).times(scenario.said - scenario.drafted)
    drafted = whisper.write(4 + scenario.drafted, seconds)
    yield "Whisper, decoder from a draft", whisper.remember(seconds) + drafted + left
    usual = scenario.history_tokens + scenario.turn_tokens
    for profile, shape in shapes.PRODUCTION.language_models.items():
        yield (
            f"{profile}: prompt, {scenario.turn_tokens} new tokens",
            shape.read(scenario.turn_tokens, scenario.history_tokens),
        )
        yield f"{profile}: prompt, all {usual} tokens", shape.read(usual, 0)
        for conversations in (1, 8):
            yield f"{profile}: a token of {conversations}", shape.step(conversations, usual)


def _problem(device: str) -> str | None:
    """Why nothing can be measured here, and what to do."""
    missing = [name for name in ("torch", "transformers", "uroman") if not importlib.util.find_spec(name)]
    if missing:
        return f"{', '.join(missing)} not installed: `pip install 's2s-gate[gpu]'`"
    here = Here.look()
    if device == "cuda" and here.gpu is None:
        return (
            f"no GPU to measure on: {here.no_gpu}. It takes an NVIDIA GPU with 24 GB, its driver, and torch built for "
            "CUDA. `--tiny --device cpu` runs the same code on networks of toy size; `gpu paper` has the arithmetic"
        )
    return None


def _machine(device: Device, tiny: bool) -> Machine:
    import platform

    import torch
    import transformers

    on_gpu = device == "cuda"
    return Machine(
        device,
        torch.cuda.get_device_name(0) if on_gpu else platform.processor() or platform.machine(),
        torch.__version__,
        torch.version.cuda or "none",
        transformers.__version__,
        measured_bandwidth_gb_s(device, (1 << 31) if on_gpu else (1 << 26)),
        measured_half_tflops(device, 8192 if on_gpu else 256),
        tiny,
    )


def _measured(
    machine: Machine, sizes: Shapes, scenario: Scenario, profile: str, weights: str | None
) -> tuple[list[Row], list[str]]:
    """All rows, and what had to be left out."""
    from benchmarks.gpu.speech import Hearing, kokoro, stages
    from benchmarks.gpu.thinking import Thinking
    from benchmarks.gpu.turn import Turns

    clock = Stopwatch(machine.device)
    rows: list[Row] = []
    left_out: list[str] = []
    with progress() as bar:
        todo = bar.add_task("loading the speech engines", total=5)
        hearing, english = Hearing(sizes, scenario, machine.device), kokoro(machine.device)
        if english is None:
            left_out.append("Kokoro, whose weights cannot be had here; the turn ends with the first clause")
        bar.update(todo, advance=1, description=f"loading the language model of {profile}")
        thinking = Thinking(sizes.language_models[profile], scenario, machine.device, weights)
        if thinking.most < max(scenario.sizes):
            left_out.append(f"more than {thinking.most} conversations, for which there is no memory")
        for what, measured in (
            ("speech", stages(hearing, english, sizes, scenario, clock)),
            ("tokens", thinking.decode(clock, profile)),
            ("prompts", thinking.prompts(clock, profile)),
            ("turns", Turns(hearing, thinking, english, scenario).measure(clock, profile)),
        ):
            bar.update(todo, advance=1, description=what)
            rows += measured
    return rows, left_out
