"""`s2s deploy`: an image onto an Inference Endpoint, where it stays if it passes the gate."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli.telling import NotDoneError, telling

if TYPE_CHECKING:  # the service's library is imported when a command runs, so that its help is instant
    from deploy.endpoints import Endpoint, Endpoints, Hardware
    from deploy.specification import Specification

_HOURS_A_MONTH = 730

_NAMESPACE = click.option("--namespace", metavar="NAME", help="User or organisation. [default: that of the token]")


@click.group(invoke_without_command=True)
@click.option("--image", metavar="NAME:TAG", help="In a registry that the service reaches, by tag or digest.")
@click.option("--name", default="speech-to-speech-demo", show_default=True, help="Of the endpoint.")
@_NAMESPACE
@click.option(
    "--repository",
    default="andito/s2s",
    show_default=True,
    help="A model repository: the service wants one, the image brings its own models.",
)
@click.option(
    "--type",
    "kind",
    type=click.Choice(["authenticated", "private", "public"]),
    default="authenticated",
    show_default=True,
    help="Who may call: with a token of the account (once called `protected`), from a private network, or everybody.",
)
@click.option("--vendor", default="aws", show_default=True)
@click.option("--region", default="us-east-1", show_default=True)
@click.option("--accelerator", type=click.Choice(["gpu", "cpu"]), default="gpu", show_default=True)
@click.option("--instance-type", default="nvidia-l4", show_default=True)
@click.option("--instance-size", default="x1", show_default=True)
@click.option("--min-replica", default=0, show_default=True, help="0 lets it scale to zero.")
@click.option("--max-replica", default=1, show_default=True)
@click.option(
    "--scale-to-zero", default=15, show_default=True, metavar="MINUTES", help="Without a request, until it sleeps."
)
@click.option("--port", default=80, show_default=True, type=click.IntRange(1, 65535), help="Of the container.")
@click.option("--env", "variables", multiple=True, metavar="NAME=VALUE", help="For the container. May be repeated.")
@click.option(
    "--secret",
    "secrets",
    multiple=True,
    metavar="NAME[=VARIABLE]",
    help="For the container: the value of this variable here, NAME itself by default. May be repeated. "
    "[default: HF_TOKEN]",
)
@click.option(
    "--gate-options", default="", metavar="OPTIONS", help="Of `s2s gate`, in quotes: '--tier synthetic --limit 2'."
)
@click.option(
    "--report", type=click.Path(path_type=Path, file_okay=False), help="Of the gate. [default: reports/TIME-deploy]"
)
@click.option(
    "--wait-limit", default=2700.0, show_default=True, help="Seconds until it must answer: image, machine, models."
)
@click.option(
    "--dry-run", is_flag=True, help="Print the request that would be sent, and send none that changes anything."
)
@click.option("--yes", is_flag=True, help="Do not ask before it costs money.")
@click.pass_context
def deploy(
    context: click.Context,
    image: str | None,
    name: str,
    namespace: str | None,
    repository: str,
    kind: str,
    vendor: str,
    region: str,
    accelerator: str,
    instance_type: str,
    instance_size: str,
    min_replica: int,
    max_replica: int,
    scale_to_zero: int,
    port: int,
    variables: tuple[str, ...],
    secrets: tuple[str, ...],
    gate_options: str,
    report: Path | None,
    wait_limit: float,
    dry_run: bool,
    yes: bool,
) -> None:
    """Put an image onto a Hugging Face Inference Endpoint, and let it stay if it passes the gate.

    The endpoint is created, or updated if there is one of this name. When it answers, `s2s gate` is run against it.
    Unless that is green, the image before is brought back; on a first deployment, the endpoint is paused. What an hour
    costs is said before anything is created.

    The token is HF_TOKEN, or what `hf auth login` has kept. It must be allowed to manage Inference Endpoints. It goes
    into the container as the secret HF_TOKEN, for gated models, unless --secret says otherwise.

    \b
    Examples:
      s2s deploy --image user/s2s-gate:0.1.0-cuda --dry-run         the exact request
      s2s deploy --image user/s2s-gate:0.1.0-cuda                   create or update, wait, gate
      s2s deploy --image user/s2s-gate:0.1.0 --accelerator cpu --instance-type intel-spr --instance-size x4
      s2s deploy --image ... --secret HF_TOKEN=MY_READ_TOKEN        another token in the container
      s2s deploy status                                             all endpoints, and what they cost
      s2s deploy pause speech-to-speech-demo

    \b
    Exit code:
      0        it is up and passed
      1, 2, 3  the gate failed, was inconclusive or invalid: taken back
      4        it did not come up, or the service refused; the message says how it was left
    """
    if context.invoked_subcommand is not None:
        return
    if image is None:
        raise click.UsageError("--image is missing: which image shall go up? Or one of: status, sleep, pause, delete")
    with service(namespace) as (endpoints, token):
        from deploy.endpoints import rehearse
        from deploy.gating import MEANINGS, gate_process, meaning
        from deploy.rollout import roll_out
        from deploy.specification import Specification
        from deploy.waiting import Patience
        from harness.run_settings import default_folder

        wanted = Specification(
            name=name,
            image=image,
            repository=repository,
            type=kind,
            vendor=vendor,
            region=region,
            accelerator=accelerator,
            instance_type=instance_type,
            instance_size=instance_size,
            min_replica=min_replica,
            max_replica=max_replica,
            scale_to_zero_minutes=scale_to_zero,
            port=port,
            environment=dict(_pair(text) for text in variables),
            secrets=dict(_secret(text, token) for text in secrets or ("HF_TOKEN",)),
        )
        before = endpoints.find(name)
        hardware = endpoints.hardware(vendor, region, instance_type, instance_size)
        click.echo(_cost(wanted, hardware))
        if dry_run:
            click.echo(rehearse(endpoints, wanted, exists=before is not None))
            return
        _require_room(wanted, hardware, before)
        if not yes:
            doing = f"Update {name}, which runs {before.image}" if before else f"Create {name}"
            click.confirm(f"{doing} in {endpoints.namespace}?", abort=True)
        folder = report or default_folder("realtime").with_name(f"{default_folder('realtime').name}-deploy")
        with telling() as teller:
            done = roll_out(
                endpoints,
                wanted,
                before=before,
                token=token,
                gate=gate_process(shlex.split(gate_options)),
                report=folder,
                patience=Patience(limit_s=wait_limit),
                telling=teller,
            )
        click.echo(f"{done.left}; report: {folder / 'report.html'}")
        if done.gated == 0:
            click.echo(f"talk to it: S2S_TOKEN=$HF_TOKEN s2s talk --url {done.url} --file question.wav")
        if done.gated not in MEANINGS:
            raise NotDoneError(f"the gate is {meaning(done.gated)}")
        context.exit(done.gated)


@deploy.command()
@_NAMESPACE
def status(namespace: str | None) -> None:
    """Every endpoint of the namespace: its state, its image, its address, and what an hour of it costs."""
    with service(namespace) as (endpoints, _):
        found = endpoints.all()
        if not found:
            click.echo(f"{endpoints.namespace} has no endpoint")
        for endpoint in found:
            hardware = endpoints.hardware(*endpoint.hardware)
            click.echo(
                f"{endpoint.name}  {endpoint.state}  {endpoint.image}  {endpoint.url or 'no address yet'}  "
                f"${hardware.price:.2f}/h a replica" + (f"\n    {endpoint.message}" if endpoint.message else "")
            )


@deploy.command()
@click.argument("name")
@_NAMESPACE
def pause(name: str, namespace: str | None) -> None:
    """Pause an endpoint: it costs nothing, and answers nobody until it is deployed or resumed again."""
    with service(namespace) as (endpoints, _):
        click.echo(f"{name} is {endpoints.pause(name).state}")


@deploy.command()
@click.argument("name")
@_NAMESPACE
def sleep(name: str, namespace: str | None) -> None:
    """Scale an endpoint to zero, or pause it if that cannot be: it costs nothing. Does nothing to one that sleeps."""
    with service(namespace) as (endpoints, _), telling() as teller:
        from deploy.nightly import put_to_sleep

        state = endpoints.get(name).state
        if state in ("paused", "scaledToZero"):
            teller.say(f"{name} sleeps already: it is {state}")
        else:
            put_to_sleep(endpoints, name, paused=False, telling=teller)


@deploy.command()
@click.argument("name")
@_NAMESPACE
@click.option("--yes", is_flag=True, help="Do not ask.")
def delete(name: str, namespace: str | None, yes: bool) -> None:
    """Delete an endpoint, with its settings, secrets and logs. There is no way back; `pause` costs nothing either."""
    with service(namespace) as (endpoints, _):
        endpoint = endpoints.get(name)
        if not yes:
            click.confirm(f"Delete {name}, which is {endpoint.state} and runs {endpoint.image}?", abort=True)
        endpoints.delete(name)
        click.echo(f"{name} is deleted")


@contextmanager
def service(namespace: str | None) -> Iterator[tuple[Endpoints, str]]:
    """The service and the token; every refusal of it becomes a message."""
    try:
        from huggingface_hub import get_token

        from deploy.endpoints import Endpoints, ServiceError
        from deploy.nightly import AwakeError
        from deploy.rollout import RolloutError
        from deploy.specification import SpecificationError
        from deploy.waiting import NotUpError
    except ImportError as error:
        raise click.ClickException(f"{error}; it comes with `pip install 's2s-gate[deploy]'`") from error
    token = get_token()
    if not token:
        raise NotDoneError(
            "there is no token: set HF_TOKEN, or run `hf auth login`; one that may manage Inference Endpoints is made "
            "at https://huggingface.co/settings/tokens"
        )
    try:
        yield Endpoints(token, namespace), token
    except (AwakeError, NotUpError, RolloutError, ServiceError, SpecificationError) as error:
        raise NotDoneError(str(error)) from None


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise click.UsageError(f"--env {text}: NAME=VALUE is expected")
    return name, value


def _secret(text: str, token: str) -> tuple[str, str]:
    name, _, variable = text.partition("=")
    value = os.environ.get(variable or name) or (token if (variable or name) == "HF_TOKEN" else "")
    if not value:
        raise click.UsageError(f"--secret {name}: the environment variable {variable or name} is not set here")
    return name, value


def _cost(wanted: Specification, hardware: Hardware) -> str:
    most = hardware.price * wanted.max_replica
    asleep = (
        f"; nothing while it sleeps, after {wanted.scale_to_zero_minutes} min without a request"
        if wanted.min_replica == 0
        else f"; at least ${hardware.price * wanted.min_replica:.2f}, for it does not scale to zero"
    )
    return (
        f"{wanted.instance_type} {wanted.instance_size} on {wanted.vendor} {wanted.region}: ${hardware.price:.2f} an "
        f"hour for each replica, ${most:.2f} an hour at most, ${most * _HOURS_A_MONTH:.0f} a month if never "
        f"asleep{asleep}"
    )


def _require_room(wanted: Specification, hardware: Hardware, before: Endpoint | None) -> None:
    where = f"{wanted.instance_type} {wanted.instance_size} in {wanted.region}"
    if not hardware.available:
        raise NotDoneError(f"{where} is not to be had at the moment; choose another --region or --instance-type")
    if before is None and hardware.free < wanted.max_replica:
        raise NotDoneError(
            f"the account's quota allows {hardware.free} more of {where}, and {wanted.max_replica} are asked for: "
            "pause or delete another endpoint, lower --max-replica, or ask the service for a larger quota. Nothing was "
            "created"
        )
