"""`s2s nightly`: a server gated night after night."""

from __future__ import annotations

import os
import shlex
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

import click

from cli.telling import NotDoneError, telling


@click.command()
@click.option("--name", help="An Inference Endpoint, woken for the gate and put to sleep afterwards.")
@click.option("--namespace", metavar="NAME", help="Of the endpoint. [default: that of the token]")
@click.option("--url", help="Instead: a server that is awake anyway, ws:// or wss://.")
@click.option(
    "--reports",
    default=Path("reports/nightly"),
    show_default=True,
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder of the nights: a report each, history.jsonl, and summary.md of the last one.",
)
@click.option("--gate-options", default="", metavar="OPTIONS", help="Of `s2s gate`, in quotes.")
@click.option("--wait-limit", default=2700.0, show_default=True, help="Seconds until the endpoint must be awake.")
@click.pass_context
def nightly(
    context: click.Context,
    name: str | None,
    namespace: str | None,
    url: str | None,
    reports: Path,
    gate_options: str,
    wait_limit: float,
) -> None:
    """Gate a server, remember the night, and say when it has been getting worse. For any scheduler.

    An endpoint is woken first. Afterwards it is paused again if it was paused, and scaled to zero otherwise: also if
    the gate fails, crashes or is interrupted. A limit that is broken is told at once. A change for the worse within the
    limits is told when it has held: two of three nights must stand out from those before (`s2s history` shows them).
    To fail by what was accepted once, too, have the gate compare: --gate-options --baseline.

    The token is HF_TOKEN (or what `hf auth login` has kept) for --name, and S2S_TOKEN for --url.

    \b
    Examples:
      s2s nightly --name speech-to-speech-demo
      s2s nightly --url ws://127.0.0.1:8080/v1/realtime --gate-options '--tier synthetic --limit 2'
      17 3 * * *  cd /srv/s2s-gate && ./s2s nightly --name speech-to-speech-demo      in a crontab

    \b
    Exit code:
      0  the gate passed, and nothing has been getting worse
      1  a limit is broken, or something has changed for the worse
      2  the gate was inconclusive
      3  the gate was invalid: the machine that it ran on was too busy, for example
      4  there was no verdict: the endpoint did not wake, or the gate crashed; or the endpoint is still awake
    """
    if (name is None) == (url is None):
        raise click.UsageError("name either an endpoint (--name) or the address of a server (--url)")
    from deploy.gating import MEANINGS, gate_process, meaning
    from deploy.nightly import one_night

    started = datetime.now(UTC)
    report = reports / started.strftime("%Y%m%dT%H%M%SZ")
    history = reports / "history.jsonl"
    token = os.environ.get("S2S_TOKEN")
    with telling() as teller, ExitStack() as stack:
        if name is not None:
            from cli.deploy import service  # whose library is needed for an endpoint alone
            from deploy.nightly import awake
            from deploy.waiting import Patience

            endpoints, token = stack.enter_context(service(namespace))
            url = stack.enter_context(awake(endpoints, name, token, Patience(wait_limit), teller))
        assert url is not None  # noqa: S101 - one of the two was asked for above
        try:
            night = one_night(
                url,
                token=token,
                gate=gate_process(["--history", str(history), *shlex.split(gate_options)]),
                report=report,
                history=history,
            )
            reports.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise NotDoneError(f"the history {history} cannot be used: {error}") from error
        summary = night.markdown()
        (reports / "summary.md").write_text(summary, encoding="utf-8")
    click.echo(summary)
    click.echo(f"report: {report / 'report.html'}")
    if night.gated not in MEANINGS:
        raise NotDoneError(f"the gate is {meaning(night.gated)}")
    context.exit(night.exit_code)
