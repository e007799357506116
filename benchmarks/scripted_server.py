"""`python -m benchmarks.scripted_server`: the real server, with models that answer at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import click

from pipeline.engine import Engine
from pipeline.lm.base import Message
from pipeline.testing import Script, scripted_engine
from server.app import Server, ServerSettings
from server.logs import log_to_stderr
from server.signals import serve_until_signalled

PROGRAM = ("-m", "benchmarks.scripted_server")
REPLY = "This is a first clause, and here comes the second one. A third is said, too."
"""As long as a spoken answer is: 3.9 s at the scripted 50 ms a character."""


@click.command()
@click.option("--host", default="127.0.0.1")
@click.option("--port", type=int, default=8080)
def main(host: str, port: int) -> None:
    """Serve conversations that are all the same, until SIGTERM."""

    def reply(messages: Sequence[Message]) -> str:
        return REPLY

    async def load(on_loading: Callable[[str], None]) -> Engine:
        return scripted_engine(Script(reply=reply))

    log_to_stderr("text")
    server = Server(load, ServerSettings(host=host, port=port))
    asyncio.run(serve_until_signalled(server, lambda server: None, lambda: None))


if __name__ == "__main__":
    main()
