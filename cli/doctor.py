"""`s2s doctor`: what this machine can run, and what it would take."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:  # imported when the command runs, so that its help is instant
    from pipeline.machine import Machine
    from pipeline.readiness import Need


@click.command()
@click.option(
    "--profile",
    "chosen",
    default="embedded",
    show_default=True,
    envvar="S2S_PROFILE",
    show_envvar=True,
    help="Which one decides about the exit code; a file of one's own (.toml) is looked at beside those by name.",
)
@click.option("--json", "as_json", is_flag=True, help="For programs, on standard output.")
@click.pass_context
def doctor(context: click.Context, chosen: str, as_json: bool) -> None:
    """Say which profiles can run on this machine, and what each of the others would take.

    It looks at the installed packages, the GPU and its free memory, the weights on this disk, and the environment. It
    loads nothing and asks nobody: that an endpoint answers, or a token is good, is seen at the start.

    \b
    Examples:
      s2s doctor                        all profiles; exit code of `embedded`
      s2s doctor --profile l4           exit code of `l4`
      s2s doctor --profile ./mine.toml
      s2s doctor --json | jq '.profiles.l4.needs[] | select(.met | not)'

    \b
    Exit code:
      0  the chosen profile can run
      1  it cannot
      2  there is no such profile
    """
    from pipeline.machine import Machine
    from pipeline.profiles import ProfileError, load_profile, profile_names
    from pipeline.readiness import needs
    from pipeline.weights import WeightStore

    try:
        names = list(dict.fromkeys([*profile_names(), chosen]))
        profiles = {name: load_profile(name) for name in names}
    except ProfileError as error:
        raise click.UsageError(str(error)) from None
    machine, store = Machine.look(), WeightStore()
    found = {name: needs(profile, machine, store) for name, profile in profiles.items()}
    runs = {name: all(need.met for need in each) for name, each in found.items()}
    if as_json:
        told: dict[str, Any] = {
            "machine": asdict(machine),
            "chosen": chosen,
            "profiles": {
                name: {"runs": runs[name], "needs": [asdict(need) for need in each]} for name, each in found.items()
            },
        }
        click.echo(json.dumps(told, indent=2, ensure_ascii=False))
    else:
        _print(machine, chosen, runs, found)
    context.exit(0 if runs[chosen] else 1)


def _print(machine: Machine, chosen: str, runs: dict[str, bool], found: dict[str, list[Need]]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False)
    gpu = machine.gpu
    console.print(
        f"This machine: {machine.cores:g} cores, {machine.memory_gb:.1f} GB of memory available, "
        + (f"{gpu.name} with {gpu.free_gb:.1f} of {gpu.total_gb:.1f} GB free" if gpu else f"no GPU: {machine.no_gpu}"),
        markup=False,
    )
    table = Table("profile", "runs", "what of it", "what it takes")
    for name, each in found.items():
        verdict = Text("yes", "green") if runs[name] else Text("no", "red")
        named = Text(name, "bold" if name == chosen else "")
        shown = [need for need in each if not need.met or need.remedy]
        if not shown:
            table.add_row(named, verdict, "has all that it needs", "")
        for number, need in enumerate(shown):
            told = Text(f"{need.kind}: {need.found}", "" if need.met else "red")
            first = (named, verdict) if number == 0 else ("", "")
            table.add_row(*first, told, Text(need.remedy.replace("NAME", name)))
        table.add_section()
    console.print(table)
