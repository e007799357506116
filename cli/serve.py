"""`s2s serve`: the server, until it is told to stop."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Literal

import click


@click.command()
@click.option(
    "--host", default="127.0.0.1", show_default=True, help="Address to listen on; 0.0.0.0 for all of this machine."
)
@click.option(
    "--port",
    default=8080,
    show_default=True,
    envvar="S2S_PORT",
    show_envvar=True,
    type=click.IntRange(0, 65535),
    help="0 takes a free one.",
)
@click.option(
    "--profile",
    "profile_name",
    default="embedded",
    show_default=True,
    envvar="S2S_PROFILE",
    show_envvar=True,
    help="Which engines make up the cascade: a name, or a file of one's own that ends in .toml. `s2s doctor` tells "
    "which can run here.",
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
    "--token-file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Whoever connects needs one of these tokens: `token` or `name: token`, one a line, `#` begins a comment. "
    "SIGHUP reads it anew. More of them, with commas between, may be in the environment: S2S_TOKENS.",
)
@click.option(
    "--allow-origin",
    "origins",
    multiple=True,
    help="Whose pages may connect, beside this server's own: https://HOST, or * for all. May be repeated.",
)
@click.option(
    "--max-sessions",
    type=click.IntRange(1),
    help="Conversations at once; the next caller is answered 503. By default as many as this machine can carry, which "
    "is measured at the start; /ready tells.",
)
@click.option("--sessions-per-token", type=click.IntRange(1), help="Of them, with one token. By default all.")
@click.option(
    "--idle-limit",
    default=600.0,
    show_default=True,
    type=click.FloatRange(1),
    help="Seconds without a message of the client after which its session is closed.",
)
@click.option(
    "--session-limit",
    default=3600.0,
    show_default=True,
    type=click.FloatRange(1),
    help="Seconds after which any session is closed.",
)
@click.option(
    "--drain-limit",
    default=20.0,
    show_default=True,
    type=click.FloatRange(0),
    help="Seconds that replies under way may take to end, after SIGTERM.",
)
@click.option(
    "--log-format",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="How each line of the log is written; what callers say is in none.",
)
def serve(
    host: str,
    port: int,
    profile_name: str,
    language: str,
    lm: str,
    token_file: Path | None,
    origins: tuple[str, ...],
    max_sessions: int | None,
    sessions_per_token: int | None,
    idle_limit: float,
    session_limit: float,
    drain_limit: float,
    log_format: Literal["text", "json"],
) -> None:
    """Start the speech-to-speech server.

    It listens at once and loads its models meanwhile, pulling their weights first where they are missing; /health
    answers 503 until they are warm, then 200. Ctrl-C or SIGTERM ends it, once the replies that are under way have
    ended; a second one ends it at once.

    Whoever reaches it may talk to it, unless there are tokens: S2S_TOKENS, or --token-file. Without them, listen on
    nothing but this machine. For operators: /ready (is it, for how many, why not), /metrics (for Prometheus), and
    traces of turns where OTEL_EXPORTER_OTLP_ENDPOINT names a collector; docs/operating.md has it all.

    \b
    Then speak to it:
      s2s talk --url ws://127.0.0.1:8080/v1/realtime --file question.wav --save reply.wav
    or with the openai SDK: AsyncOpenAI(base_url="http://127.0.0.1:8080/v1", api_key="none").realtime.connect(...)
    or with a client of the original container: ws://127.0.0.1:8080/ws (?language=fr, ?voice=NAME)
    """
    try:
        from server.app import Server, ServerSettings
        from server.limits import Limits
        from server.logs import log_to_stderr
        from server.signals import serve_until_signalled
        from server.tokens import VARIABLE, TokenError, Tokens
        from server.tracing import TracingError, open_tracing
    except ImportError as error:
        raise click.ClickException(
            f"{error}; the server's packages come with `pip install 's2s-gate[server]'`"
        ) from error
    from pipeline.engine import Engine
    from pipeline.languages import Language, parse_language
    from pipeline.lm.base import LanguageModelError
    from pipeline.measuring import measure
    from pipeline.model_process import ModelProcessError
    from pipeline.profiles import ProfileError, load_profile
    from pipeline.readiness import MissingExtraError, UnfitMachineError
    from pipeline.weights import WeightsError, WeightStore

    log_to_stderr(log_format)
    try:
        one = parse_language(language)
        profile = load_profile(profile_name)
        tokens = Tokens(os.environ.get(VARIABLE, ""), token_file)
        tracing = open_tracing(os.environ)
    except (ValueError, ProfileError, TokenError, TracingError) as error:
        raise click.ClickException(str(error)) from None
    if lm == "echo":
        profile = profile.with_echo()

    def load(on_loading: Callable[[str], None]) -> Awaitable[Engine]:
        return Engine.load(profile, WeightStore(), on_loading=on_loading)

    def announce(server: Server) -> None:
        at = f"{host}:{server.port}"
        click.echo(f"ready: ws://{at}/v1/realtime  ws://{at}/ws  http://{at}/health")

    def leave() -> None:
        if tracing is not None:
            tracing.close()
        # The process ends here: a model in the midst of loading cannot be cancelled, and letting native libraries go
        # one by one can take longer than whoever sent the signal waits.
        os._exit(0)

    settings = ServerSettings(
        host=host,
        port=port,
        languages=(one,) if one else tuple(Language),
        limits=Limits(
            sessions=max_sessions,
            sessions_per_token=sessions_per_token,
            idle_s=idle_limit,
            duration_s=session_limit,
        ),
        tokens=tokens,
        origins=origins,
        drain_s=drain_limit,
    )
    server = Server(load, settings, measure=measure, tracing=tracing)
    try:
        asyncio.run(serve_until_signalled(server, announce, leave))
    except (
        LanguageModelError,
        MissingExtraError,
        ModelProcessError,
        ProfileError,
        UnfitMachineError,
        WeightsError,
    ) as error:
        raise click.ClickException(f"the models could not be loaded: {error}") from error
    except OSError as error:
        raise click.ClickException(
            f"cannot listen on {host}:{port}: {error}; choose another --host or --port"
        ) from error
