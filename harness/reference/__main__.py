"""`python -m harness.reference`: the reference server in a process of its own."""

from __future__ import annotations

import asyncio

import click

from harness.reference.server import start
from harness.replay import punctual


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", type=int, default=8090, show_default=True)
def main(host: str, port: int) -> None:
    """Answer each conversation as its address asks, until SIGTERM.

    \b
    Example:
      s2s gate --endpoint 'ws://127.0.0.1:8090/v1/realtime?behaviour={"speech_end_s":2.0,"spoken":"alpha"}'
    """

    async def serve() -> None:
        with punctual():
            server = await start(host, port)
            await server.serve_forever()

    asyncio.run(serve())


if __name__ == "__main__":
    main()
