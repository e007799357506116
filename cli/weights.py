"""`s2s weights`: have the embedded models' weights, and know that they are right."""

from __future__ import annotations

from pathlib import Path

import click
from rich.filesize import decimal

from pipeline.weights import CATALOGUE, WeightsError, WeightStore


@click.group()
def weights() -> None:
    """Pull, list and verify the weights of models.

    They live in the user's cache, or in the folder that S2S_WEIGHTS names, which is then only read.
    """


@weights.command()
@click.argument("models", nargs=-1, type=click.Choice(list(CATALOGUE)))
@click.option(
    "--to",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    help="Also copy them to this folder, for a machine without a network: name it there in S2S_WEIGHTS.",
)
@click.option(
    "--profile",
    help="Whatever this profile needs: of the embedded models, and of the Hugging Face hub, into HF_HOME. HF_TOKEN "
    "opens gated models.",
)
def pull(models: tuple[str, ...], folder: Path | None, profile: str | None) -> None:
    """Fetch what is missing or damaged of MODELS (all the embedded ones, if none is named).

    \b
    Examples:
      s2s weights pull                        the embedded models
      s2s weights pull --to /media/stick      and a copy for a machine without a network
      HF_TOKEN=... s2s weights pull --profile l4
    """
    if profile is not None:
        if models or folder:
            raise click.UsageError("--profile says which models, and they stay in the caches: leave out the rest")
        _pull_profile(profile)
        return
    try:
        store = WeightStore()
        if folder is None:
            store.pull(*models)
        else:
            store.copy_to(folder, *models)
    except WeightsError as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"verified: {', '.join(models or CATALOGUE)} in {folder or store.root}")


def _pull_profile(name: str) -> None:
    from pipeline.profiles import ProfileError, load_profile
    from pipeline.readiness import sources
    from pipeline.weights.finding import find

    try:
        store = WeightStore()
        for source in sources(load_profile(name)):
            click.echo(f"{source.model}: {find(source, store)}")
    except (ProfileError, WeightsError) as error:
        raise click.ClickException(str(error)) from error


@weights.command(name="list")
def list_models() -> None:
    """Show each file, its licence and its state; hashes nothing."""
    store = WeightStore()
    click.echo(f"{store.root}:")
    for model in CATALOGUE.values():
        for file in model.files:
            click.echo(f"{file.path:<40}{decimal(file.size):>9}  {model.licence:<13} {store.state(file)}")


@weights.command()
@click.argument("models", nargs=-1, type=click.Choice(list(CATALOGUE)))
def verify(models: tuple[str, ...]) -> None:
    """Hash every file of MODELS (all, if none is named); exits with 1 if one is missing or wrong."""
    store = WeightStore()
    faults = 0
    for file, fault in store.verify(*models):
        click.echo(f"{'ok' if fault is None else 'WRONG'}  {file.path}{f': {fault}' if fault else ''}")
        faults += fault is not None
    if faults:
        raise click.ClickException(
            f"{faults} of the files in {store.root} are not usable; `s2s weights pull` fetches them"
        )
