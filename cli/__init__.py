"""The program `s2s`: one group, a file for each sub-command."""

from __future__ import annotations

import importlib

import click

COMMANDS = {
    "serve": "start the speech-to-speech server",
    "talk": "talk to a server, by microphone and loudspeaker or by files",
    "weights": "pull, list and verify the models",
    "doctor": "say what this machine can run, and what it would take",
    "fixtures": "pull, list and verify the recordings that the gate plays",
    "gate": "play recordings through a server, measure, and decide",
    "report": "make every view of a stored run again",
    "rescore": "measure a stored run again, by newer measures or other limits",
    "compare": "two servers, or two runs: what changed",
    "baseline": "accept a run as the yardstick for later ones",
    "history": "the trend over the nights, and what changed for good",
    "deploy": "put an image onto an Inference Endpoint, where it stays if it passes the gate",
    "nightly": "gate a server every night, and say when it has been getting worse",
}


class _LazyGroup(click.Group):
    """Imports a sub-command when it is named, so that `s2s --help` does not pay for the models of `s2s serve`."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command = getattr(importlib.import_module(f"cli.{cmd_name}"), cmd_name)
        assert isinstance(command, click.Command)  # noqa: S101 - a broken table is a bug of ours
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.command(
    cls=_LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=(
        "Start here: `s2s gate --serve` pulls the models, starts a server, plays recordings in six languages and says "
        "whether it passes."
    ),
)
@click.version_option(package_name="s2s-gate")
def main() -> None:
    """A speech-to-speech server, and the gate that decides whether a build of it may be deployed."""
