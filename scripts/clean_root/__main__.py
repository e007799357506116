"""Builds the image's steps in a clean root, starts the server in there, gates it from outside, and stops it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import click
from rich.console import Console
from rich.filesize import decimal

from scripts.clean_root.build import Builder, Layer
from scripts.clean_root.context import Context
from scripts.clean_root.dockerfile import DockerfileError, read
from scripts.clean_root.roots import MIRROR, RootError, bytes_in
from scripts.clean_root.running import started

_GATE = ("-m", "cli", "gate", "--tier", "synthetic", "--limit", "1")


@click.command()
@click.option(
    "--folder",
    required=True,
    type=click.Path(path_type=Path, file_okay=False),
    help="For the roots: some gigabytes. A Debian that is there from the last time is used again, nothing else is.",
)
@click.option(
    "--file",
    "dockerfile",
    default=Path("Dockerfile"),
    show_default=True,
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Beside it lies what it may COPY.",
)
@click.option("--target", default="cpu", show_default=True, help="The stage to build.")
@click.option("--build-arg", "given", multiple=True, metavar="NAME=VALUE", help="May be repeated.")
@click.option("--mirror", default=MIRROR, show_default=True, help="Where Debian comes from.")
@click.option(
    "--port", default=80, show_default=True, help="Other than 80: the server is told so by S2S_PORT, and nothing else."
)
@click.option("--build-only", is_flag=True, help="Do not start it: it takes a GPU, for example.")
def main(
    folder: Path, dockerfile: Path, target: str, given: tuple[str, ...], mirror: str, port: int, build_only: bool
) -> None:
    """Prove a Dockerfile where there is no Docker.

    Its steps are carried out in a clean Debian root, one layer after the other. Then its CMD is started in there as
    its USER, with nothing to write to but /tmp and no way to look up a name; /health and the HEALTHCHECK are asked, a
    gate is run against it from outside, and SIGTERM ends it. The exit code is that of the gate, or 1 where it did not
    come to that.

    It needs to be root, and debootstrap. Of this machine's environment the steps get PIP_*, UV_* and what says whom to
    trust (SSL_CERT_FILE), which are in no layer.

    \b
    Examples:
      python -m scripts.clean_root --folder /tmp/clean-root
      python -m scripts.clean_root --folder /tmp/clean-root --target cuda --build-only
    """
    console = Console(highlight=False, soft_wrap=True)
    if os.geteuid() != 0:
        raise click.ClickException("to mount and to change roots one must be root")
    folder = folder.absolute()
    work = folder / time.strftime("%Y%m%d-%H%M%S")
    work.mkdir(parents=True)
    began = time.monotonic()

    def on_layer(layer: Layer) -> None:
        console.print(f"    {decimal(layer.size)} in {layer.seconds:.0f} s", markup=False)

    try:
        builder = Builder(
            read(dockerfile, dict(pair.partition("=")[::2] for pair in given)),
            Context(dockerfile.absolute().parent),
            folder,
            work,
            mirror=mirror,
            given=dict(pair.partition("=")[::2] for pair in given),
            on_step=lambda step: console.print(step, markup=False),
            on_layer=on_layer,
        )
        image = builder.build(target)
        console.print(f"\n{target}: built in {time.monotonic() - began:.0f} s. Its layers:")
        for layer in image.layers:
            console.print(f"{decimal(layer.size):>10}  {layer.step}", markup=False)
        base = bytes_in(image.base)
        whole = base + sum(layer.size for layer in image.layers)
        console.print(f"{decimal(base):>10}  the Debian below them\n{decimal(whole):>10}  in all", markup=False)
        if build_only:
            return
        environment = {} if port == 80 else {"S2S_PORT": str(port)}
        with started(image, work, environment) as running:
            console.print(f"/health is 200 after {running.wait_until_healthy(port):.1f} s", markup=False)
            console.print(f"it runs as user {running.user_id()}; its log is {running.log}", markup=False)
            healthy = running.check_health_as_the_image_says()
            console.print(f"HEALTHCHECK: exit code {healthy}")
            endpoint = f"ws://127.0.0.1:{port}/v1/realtime"
            report = work / "report"
            gated = subprocess.run(
                [sys.executable, *_GATE, "--endpoint", endpoint, "--report", str(report)], check=False
            ).returncode
            console.print(f"gate: exit code {gated}")
            left, after_s = running.stop()
            console.print(f"SIGTERM: exit code {left} after {after_s:.1f} s")
    except (DockerfileError, RootError) as error:
        raise click.ClickException(str(error)) from error
    sys.exit(gated or healthy or left)


if __name__ == "__main__":
    main()
