"""The options by which clips are chosen."""

from __future__ import annotations

import click

languages = click.option(
    "--language", "languages", default="en,fr,es,zh,ja,ko", show_default=True, help="Codes, separated by commas."
)
tier = click.option(
    "--tier",
    type=click.Choice(["auto", "recorded", "synthetic"]),
    default="auto",
    show_default=True,
    help="Which clips; auto takes a language's recordings where there are any.",
)
