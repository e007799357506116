"""`s2s talk`: a recording in, the server's answer out."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import click


@click.command()
@click.option(
    "--url",
    default="ws://127.0.0.1:8080",
    show_default=True,
    help="The server; the path decides the protocol: /ws is the binary one, none or any other the Realtime one.",
)
@click.option(
    "--file", "question", required=True, type=click.Path(path_type=Path), help="The question: a sound file of any rate."
)
@click.option(
    "--save", "reply", type=click.Path(path_type=Path, dir_okay=False), help="Where to write the answer, as WAV."
)
@click.option(
    "--language",
    default="auto",
    show_default=True,
    help="en, fr, es, zh, ja, ko, or auto.",
)
@click.option(
    "--token-env",
    default="S2S_TOKEN",
    show_default=True,
    help="The environment variable that holds the server's token.",
)
@click.option(
    "--wait", "wait_s", default=120.0, show_default=True, help="Seconds to wait for a server that is still loading."
)
@click.option("--limit", "limit_s", default=30.0, show_default=True, help="Seconds to wait for an answer.")
def talk(
    url: str, question: Path, reply: Path | None, language: str, token_env: str, wait_s: float, limit_s: float
) -> None:
    """Speak to a server: play a recording in real time, print what was heard and what is answered.

    \b
    Examples:
      s2s talk --file question.wav --save reply.wav
      s2s talk --url ws://127.0.0.1:8080/ws --file question.flac
      S2S_TOKEN=... s2s talk --url wss://host/v1/realtime --file question.wav --language fr
    """
    from rich.console import Console

    from client import talk as conversation
    from client.audio import SoundFileError, read_pcm16, save_wav
    from client.connection import UnavailableError
    from client.events import Heard, ServerEvent, Spoken

    console = Console(highlight=False)
    try:
        rate_hz = conversation.protocol_rate_hz(url)
        pcm16 = read_pcm16(question, rate_hz)
    except (UnavailableError, SoundFileError) as error:
        raise click.ClickException(str(error)) from None

    def show(event: ServerEvent) -> None:
        if isinstance(event, Heard):
            console.print(f"heard: {event.text.strip()}", markup=False, soft_wrap=True)
        elif isinstance(event, Spoken):
            console.print(f"answer: {event.text.strip()}", markup=False, soft_wrap=True)

    async def ask() -> conversation.Answer:
        with console.status(f"connecting to {url}") as status:
            client = conversation.open_client(
                url, language=language, token=os.environ.get(token_env), wait_s=wait_s, on_wait=status.update
            )
            async with client as session:
                status.update(f"playing {question.name}, {len(pcm16) / (2 * rate_hz):.1f} s")
                return await conversation.talk(session, pcm16, rate_hz=rate_hz, on_event=show, limit_s=limit_s)

    try:
        answer = asyncio.run(ask())
    except UnavailableError as error:
        raise click.ClickException(str(error)) from None

    if answer.first_audio_s is not None:
        console.print(f"first audio {answer.first_audio_s:.2f} s after the end of the file")
    if reply and len(answer.samples):
        try:
            save_wav(reply, answer.samples, answer.rate_hz)
        except OSError as error:
            raise click.ClickException(f"{reply} cannot be written ({error}); give another path to --save") from None
        console.print(f"saved {len(answer.samples) / answer.rate_hz:.1f} s of answer to {reply}", markup=False)
    if answer.failure:
        raise click.ClickException(f"{url}: {answer.failure}")
    if answer.first_audio_s is None:
        raise click.ClickException(f"{url} gave no answer within {limit_s:.0f} s; is there speech in {question}?")
