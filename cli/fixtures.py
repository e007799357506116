"""`s2s fixtures`: have the recordings that the gate plays, and know that they are right."""

from __future__ import annotations

from collections import Counter

import click
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from harness.fixtures import (
    LANGUAGES,
    MIRROR_VARIABLE,
    NO_SPEECH,
    Clip,
    FixtureError,
    ManifestError,
    available,
    cache_folder,
    describe,
    find,
    load_manifest,
    mirror_folder,
)
from harness.fixtures import (
    pull as pull_clips,
)

_languages = click.option(
    "--language",
    "languages",
    multiple=True,
    type=click.Choice([*LANGUAGES, NO_SPEECH]),
    help=f"Only this language; `{NO_SPEECH}` is the clips without speech. May be given several times.",
)


@click.group()
def fixtures() -> None:
    """Pull, list and verify the recordings that the gate plays.

    They live in the user's cache. Set S2S_FIXTURES_MIRROR to a folder of the same files to do without a network.
    The synthetic clips come with the program.
    """


@fixtures.command()
@_languages
def pull(languages: tuple[str, ...]) -> None:
    """Fetch what is missing or damaged; exits with 1 if some could not be had."""
    clips = [clip for clip in _manifest(languages) if clip.tier == "recorded"]
    failures: list[tuple[str, str]] = []
    origins: Counter[str] = Counter()
    columns = (TextColumn("{task.description:<24}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    try:
        with Progress(*columns) as progress:
            task = progress.add_task("recordings", total=len(clips))
            for pulled in pull_clips(clips):
                progress.update(task, advance=1, description=pulled.clip.id)
                if pulled.origin is None:
                    failures.append((pulled.clip.id, pulled.reason))
                    progress.console.print(
                        f"{pulled.clip.id}: {pulled.reason}", style="red", markup=False, soft_wrap=True
                    )
                else:
                    origins[pulled.origin] += 1
    except FixtureError as error:
        raise click.ClickException(str(error)) from error
    had = ", ".join(f"{count} from the {origin}" for origin, count in origins.items()) or "none"
    click.echo(f"{sum(origins.values())} of {len(clips)} recordings in {cache_folder()}: {had}")
    if failures:
        raise click.ClickException(
            f"{len(failures)} recordings could not be had (reasons above); run it again, or set {MIRROR_VARIABLE} "
            "to a folder of them. Without them the gate plays the synthetic clips"
        )


@fixtures.command(name="list")
@_languages
def list_clips(languages: tuple[str, ...]) -> None:
    """Show each clip and whether its file is here, then which tier `auto` would play."""
    clips = _manifest(languages)
    try:
        for clip in clips:
            state = "here" if find(clip) else "missing"
            known = f"{clip.id:<26}{clip.language:<5}{clip.tier:<10}{clip.duration_s:6.2f} s"
            click.echo(f"{known}  {state:<8}{clip.attribution or ''}")
        chosen = available(languages=languages or (*LANGUAGES, NO_SPEECH), clips=clips)
    except FixtureError as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"would be played: {describe(chosen)}")


@fixtures.command()
@_languages
def verify(languages: tuple[str, ...]) -> None:
    """Hash every clip's file; exits with 1 if one is missing or wrong."""
    clips = _manifest(languages)
    try:
        wrong = [clip for clip in clips if find(clip) is None]
        places = [str(place) for place in (cache_folder(), mirror_folder()) if place]
    except FixtureError as error:
        raise click.ClickException(str(error)) from error
    for clip in wrong:
        click.echo(f"{clip.id}: {clip.file} is missing or differs")
    click.echo(
        f"{len(clips) - len(wrong)} of {len(clips)} verified in {', '.join(places)} and the program's own folder"
    )
    if wrong:
        raise click.ClickException(f"{len(wrong)} clips are not usable; `s2s fixtures pull` fetches recordings")


def _manifest(languages: tuple[str, ...]) -> list[Clip]:
    try:
        clips = load_manifest()
    except ManifestError as error:
        raise click.ClickException(str(error)) from error
    return [clip for clip in clips if not languages or clip.language in languages]
