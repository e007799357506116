"""The option `--budget`, a time to play for."""

from __future__ import annotations

import click


def parse(context: click.Context, parameter: click.Parameter, text: str | None) -> float | None:
    """A callback for click: `90s`, `10m` or `1.5h` in seconds."""
    from harness.sequential import BudgetError, parse_budget

    try:
        return None if text is None else parse_budget(text)
    except BudgetError as error:
        raise click.BadParameter(str(error), context, parameter) from error
