"""`taskmesh probe`: the health check of a container, which needs no other program for that."""

from __future__ import annotations

import json
import os

import click

from taskmesh.cli.app_path import current_folder
from taskmesh.cli.failure import EXIT_USAGE, Failure
from taskmesh.cli.group import ending
from taskmesh.cli.output import json_option, print_json
from taskmesh.cli.probing import LIVE, READY, REMARK, TIMEOUT_S, CannotAsk, NobodyNamed, ask, url_for
from taskmesh.cli.seconds import Seconds
from taskmesh.config.settings import probes_setting


@click.command(
    epilog=ending(
        examples=[
            "taskmesh probe --live",
            "taskmesh probe --url http://worker-3:8484/readyz --json",
        ],
        codes=["0 it is", "1 it is not, or nobody answers"],
    )
)
@click.option("--live", is_flag=True, help="Ask whether it should be started anew (/livez).")
@click.option("--ready", is_flag=True, help="Ask whether it runs tasks now (/readyz).  [default]")
@click.option("--url", metavar="URL", help="Ask there.  [default: this host, at the port of the setting]")
@click.option(
    "--timeout", type=Seconds(), default=TIMEOUT_S, show_default=True, metavar="S", help="Wait no longer."
)
@json_option
def probe(*, live: bool, ready: bool, url: str | None, timeout: float, json_wanted: bool) -> None:
    """Ask a worker or scheduler that serves probes how it is: for health checks of containers.

    It finds the process on this host by TASKMESH_PROBES, or by `probes` in the settings file.
    """
    if live + ready + (url is not None) > 1:
        raise click.UsageError("give one of --live, --ready and --url")
    if timeout <= 0:
        raise click.BadParameter("expected more than 0 seconds", param_hint="'--timeout'")
    try:
        if url is None:
            url = url_for(probes_setting(os.environ, current_folder()), LIVE if live else READY)
        told = ask(url, timeout)
    except NobodyNamed as error:
        raise Failure(str(error), EXIT_USAGE) from error
    except CannotAsk as error:
        raise Failure(str(error)) from error
    if json_wanted:
        print_json({"url": url, "status": told.status, "ok": told.status == 200, **_said(told.text)})
    else:
        click.echo(told.text)
    click.get_current_context().exit(int(told.status != 200))


def _said(text: str) -> dict[str, list[str]]:
    """Return the reasons why not, and the remarks, from a page of either kind."""
    try:
        page = json.loads(text)
        return {kind: [str(each) for each in page.get(kind, ())] for kind in ("reasons", "remarks")}
    except (ValueError, AttributeError, TypeError):
        lines = text.splitlines()
    return {
        "reasons": [line for line in lines if line != "ok" and not line.startswith(REMARK)],
        "remarks": [line.removeprefix(REMARK) for line in lines if line.startswith(REMARK)],
    }
