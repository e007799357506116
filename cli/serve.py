"""`s2s serve`: the server, until it is told to stop."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable

import click


@click.command()
@click.option(
    "--host", default="127.0.0.1", show_default=True, help="Address to listen on; 0.0.0.0 for all of this machine."
)
@click.option("--port", default=8080, show_default=True, type=click.IntRange(0, 65535), help="0 takes a free one.")
@click.option(
    "--profile", "profile_name", default="embedded", show_default=True, help="Which engines make up the cascade."
)
@click.option(
    "--language",
    default="auto",
    show_default=True,
    help="What callers speak who name no language: en, fr, es, zh, ja, ko, or auto to hear it anew in every turn.",
)
@click.option(
    "--lm",
    type=click.Choice(["default", "echo"]),
    default="default",
    show_default=True,
    help="`echo` answers every language by repeating what was heard: the deterministic choice for measuring words.",
)
@click.option(
    "--max-sessions",
    default=8,
    show_default=True,
    type=click.IntRange(1),
    help="Conversations at once; the next caller is answered 503.",
)
def serve(host: str, port: int, profile_name: str, language: str, lm: str, max_sessions: int) -> None:
    """Start the speech-to-speech server.

    It listens at once and loads its models meanwhile, pulling their weights first where they are missing; /health
    answers 503 until they are warm, then 200. Ctrl-C or SIGTERM ends it.

    \b
    Then speak to it:
      s2s talk --url ws://127.0.0.1:8080/v1/realtime --file question.wav --save reply.wav
    or with the openai SDK: AsyncOpenAI(base_url="http://127.0.0.1:8080/v1", api_key="none").realtime.connect(...)
    or with a client of the original container: ws://127.0.0.1:8080/ws (?language=fr, ?voice=NAME)
    """
    try:
        from server.app import Server, ServerSettings, serve_until_signalled
    except ImportError as error:
        raise click.ClickException(
            f"{error}; the server's packages come with `pip install 's2s-gate[server]'`"
        ) from error
    from pipeline.engine import Engine
    from pipeline.languages import Language, parse_language
    from pipeline.loading import MissingExtraError
    from pipeline.profiles import ProfileError, load_profile
    from pipeline.weights import WeightsError, WeightStore

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    # It tells of every port scan with a traceback.
    logging.getLogger("websockets").setLevel(logging.CRITICAL)
    try:
        one = parse_language(language)
        profile = load_profile(profile_name)
    except (ValueError, ProfileError) as error:
        raise click.ClickException(str(error)) from None
    if lm == "echo":
        profile = profile.with_echo()

    def load(on_loading: Callable[[str], None]) -> Awaitable[Engine]:
        return Engine.load(profile, WeightStore(), on_loading=on_loading)

    def announce(server: Server) -> None:
        at = f"{host}:{server.port}"
        click.echo(f"ready: ws://{at}/v1/realtime  ws://{at}/ws  http://{at}/health")

    def leave() -> None:
        # The process ends here: a model in the midst of loading cannot be cancelled, and letting native libraries go
        # one by one can take longer than whoever sent the signal waits.
        os._exit(0)

    server = Server(load, ServerSettings(host, port, (one,) if one else tuple(Language), max_sessions))
    try:
        asyncio.run(serve_until_signalled(server, announce, leave))
    except (MissingExtraError, ProfileError, WeightsError) as error:
        raise click.ClickException(f"the models could not be loaded: {error}") from error
    except OSError as error:
        raise click.ClickException(
            f"cannot listen on {host}:{port}: {error}; choose another --host or --port"
        ) from error
