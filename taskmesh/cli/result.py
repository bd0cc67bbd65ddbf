"""`taskmesh result`: what came of a task."""

from __future__ import annotations

import click

from taskmesh.cli.group import ending
from taskmesh.cli.outcome_view import as_document, as_tables, view_of
from taskmesh.cli.output import json_option, print_json, say, show
from taskmesh.cli.seconds import Seconds
from taskmesh.cli.target import Target, target_options


@click.command(
    epilog=ending(
        examples=[
            "taskmesh result 0193a2… -A app:mesh",
            "taskmesh result nightly-1 --mesh shop --wait 30 --json",
        ],
        codes=[
            "0 it succeeded, or has not ended yet and --wait was not given",
            "1 it failed, was revoked, expired or given up; it is not known; not ended within --wait",
        ],
    )
)
@click.argument("task_id", metavar="ID")
@click.option(
    "--wait",
    "wait_s",
    type=Seconds(),
    metavar="S",
    help="Wait up to so long for its end: seconds, or 1m.",
)
@target_options()
@json_option
def result(*, task_id: str, wait_s: float | None, target: Target, json_wanted: bool) -> None:
    """Show the state of a task and what came of it.

    The value is shown as Python would write it; with --json as JSON where JSON can say it. Values whose classes are
    the app's need -A, so that they can be imported. An error is shown with the worker's traceback.

    Of one that has not ended: its queue, which worker runs it, what it told by `report_progress` and `update_state`,
    and how earlier attempts ended.
    """
    mesh = target.look()
    target.advise(mesh)
    view = view_of(mesh, mesh.result(task_id), wait_s)
    if json_wanted:
        print_json(as_document(view))
    else:
        show(*as_tables(view))
    if view.is_late:
        say(f"not ended within {wait_s:g} s; it goes on")
    click.get_current_context().exit(view.exit_code)
