"""`s2s talk`: a conversation by microphone and loudspeaker, or a recording in and the server's answer out."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from client.backoff import PATIENCE_S

if TYPE_CHECKING:
    from rich.console import Console

    from client.file_card import FileCard

REALTIME_HINT = "headphones keep the reply out of the microphone; speak over it to interrupt it"
ENDPOINT_HINT = "/ws is closed to the microphone while a reply is played, so nobody can interrupt it"


@click.command()
@click.option(
    "--url",
    default="ws://127.0.0.1:8080",
    show_default=True,
    help="The server; the path decides the protocol: /ws is the binary one, none or any other the Realtime one.",
)
@click.option(
    "--file", "question", type=click.Path(path_type=Path), help="Ask this sound file, of any rate, in place of talking."
)
@click.option(
    "--save",
    "reply",
    type=click.Path(path_type=Path, dir_okay=False),
    help="With --file: where to write the answer, as WAV.",
)
@click.option("--microphone", metavar="DEVICE", help="Number or part of the name; the system's default if not given.")
@click.option("--loudspeaker", metavar="DEVICE", help="The same.")
@click.option("--devices", "list_devices", is_flag=True, help="List microphones and loudspeakers, and stop.")
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
    "--wait",
    "wait_s",
    default=PATIENCE_S,
    show_default=True,
    help="Seconds to wait for a server that is still loading, and to look for one that was lost.",
)
@click.option("--limit", "limit_s", default=30.0, show_default=True, help="With --file: seconds to wait for an answer.")
def talk(
    url: str,
    question: Path | None,
    reply: Path | None,
    microphone: str | None,
    loudspeaker: str | None,
    list_devices: bool,
    language: str,
    token_env: str,
    wait_s: float,
    limit_s: float,
) -> None:
    """Talk to a server; Ctrl-C ends the call.

    The microphone and the loudspeaker need the extra [audio]; --file needs no sound card.

    \b
    Examples:
      s2s talk                                             with the default microphone and loudspeaker
      s2s talk --devices
      s2s talk --microphone usb --loudspeaker 4 --language fr
      S2S_TOKEN=... s2s talk --url wss://host/v1/realtime
      s2s talk --file question.wav --save reply.wav        without any sound card
      s2s talk --url ws://127.0.0.1:8080/ws --file question.flac
    """
    from rich.console import Console

    from cli.talk_view import TalkView
    from client.audio import SoundFileError, from_pcm16, read_pcm16
    from client.call import Call, CallFailedError
    from client.connection import UnavailableError
    from client.conversation import Question
    from client.endpoint import is_endpoint_url
    from client.file_card import FileCard
    from client.protocols import open_client, protocol_rate_hz
    from client.sound_card import PortAudioCard, SoundCard, SoundCardError

    if reply and not question:
        raise click.UsageError("--save writes the answer to --file; give that too")
    if question and (microphone or loudspeaker):
        raise click.UsageError("--file takes the place of --microphone and --loudspeaker; give the one or the others")

    console = Console(highlight=False)
    files: FileCard | None = None
    asked: Question | None = None
    card: SoundCard
    try:
        if list_devices:
            _list_devices(console)
            return
        rate_hz = protocol_rate_hz(url)
        if question:
            recording = from_pcm16(read_pcm16(question, rate_hz))
            asked = Question(recording.size / rate_hz, limit_s)
            card = files = FileCard(recording, rate_hz)
        else:
            card = PortAudioCard(rate_hz, microphone=microphone, loudspeaker=loudspeaker)
    except (UnavailableError, SoundFileError, SoundCardError) as error:
        raise click.ClickException(str(error)) from None

    view = TalkView(console, url, since="the end of the file" if asked else "your last word")
    call = Call(
        lambda seconds: open_client(
            url, language=language, token=os.environ.get(token_env), wait_s=seconds, on_wait=view.waits
        ),
        card,
        view,
        rate_hz=rate_hz,
        patience_s=wait_s,
        question=asked,
    )
    try:
        with view.live(lambda: call.levels):
            if not asked:
                view.note(ENDPOINT_HINT if is_endpoint_url(url) else REALTIME_HINT)
            asyncio.run(call.run())
        if not asked:
            view.note("the server has ended the conversation")
    except KeyboardInterrupt:
        if asked:
            raise
    except (UnavailableError, SoundCardError) as error:
        raise click.ClickException(str(error)) from None
    except CallFailedError as error:
        raise click.ClickException(f"{url}: {error}") from None
    finally:
        view.summary(call.tally)
        if files and reply:
            _save(files, reply, rate_hz, console)
    if asked and not call.tally.turns:
        raise click.ClickException(f"{url} gave no answer within {limit_s:.0f} s; is there speech in {question}?")


def _save(files: FileCard, reply: Path, rate_hz: int, console: Console) -> None:
    from client.audio import save_wav

    samples = files.played()
    if not len(samples):
        return
    try:
        save_wav(reply, samples, rate_hz)
    except OSError as error:
        raise click.ClickException(f"{reply} cannot be written ({error}); give another path to --save") from None
    console.print(f"saved {len(samples) / rate_hz:.1f} s of answer to {reply}", markup=False, soft_wrap=True)


def _list_devices(console: Console) -> None:
    from rich.table import Table

    from client.sound_card import SoundCardError, devices

    found = devices()
    if not found:
        raise SoundCardError("this machine has no sound device; `s2s talk --file question.wav` needs none")
    table = Table("", "device", "microphone", "loudspeaker", box=None)
    for device in found:
        table.add_row(
            str(device.number),
            device.name,
            _usable(device.microphone_channels, device.is_default_microphone),
            _usable(device.loudspeaker_channels, device.is_default_loudspeaker),
        )
    console.print(table)


def _usable(channels: int, is_default: bool) -> str:
    return "default" if channels and is_default else "yes" if channels else ""
