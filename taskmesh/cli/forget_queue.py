"""`taskmesh queue forget`: queues that nobody uses any more are listed no longer."""

from __future__ import annotations

from collections.abc import Sequence

import click

from taskmesh.app import TaskMesh
from taskmesh.cli.failure import EXIT_FAILURE
from taskmesh.cli.group import ending
from taskmesh.cli.output import json_option, print_json, say
from taskmesh.cli.target import Target, target_options
from taskmesh.cli.worker_list import serving, workers_of
from taskmesh.core.lines import check_queue
from taskmesh.queue.manage import (
    FORGOTTEN,
    HAS_IDLE,
    HAS_MESSAGES,
    IS_PAUSED,
    NOT_LISTED,
    Status,
    forget_queue,
    status,
)

_WHY = {
    NOT_LISTED: "there is no such queue",
    IS_PAUSED: "it is paused: `taskmesh queue resume` first",
    HAS_MESSAGES: "messages wait in it: `taskmesh purge` revokes them",
    HAS_IDLE: "a worker waits for its messages",
}


@click.command(
    epilog=ending(
        examples=[
            "taskmesh queue forget mail-2023 -A app:mesh",
            "taskmesh queue forget --unused --mesh shop --json",
        ],
        codes=["0 forgotten", "1 some were not: they are in use, or there is no such queue"],
    )
)
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--unused", is_flag=True, help="Every queue that is empty, not paused, and served by nobody.")
@target_options()
@json_option
def forget(*, names: tuple[str, ...], unused: bool, target: Target, json_wanted: bool) -> None:
    """Forget queues that nobody uses: they are listed no more, and their counts go.

    A queue in use stays: messages wait in it, it is paused, or a live worker serves it. A queue that was forgotten is
    there again as soon as a message stands in it, also one that waited for its time or ran meanwhile. A weight that
    was set for it goes as well.
    """
    if unused == bool(names):
        raise click.UsageError("name the queues, or give --unused")
    for name in names:
        check_queue(name)
    mesh = target.open()
    counted = mesh.link.run(status(mesh.link.session))
    verdicts = {name: _forget(mesh, counted, name) for name in names or sorted(counted.queues)}
    forgotten = [name for name, why in verdicts.items() if not why]
    refused = {} if unused else {name: why for name, why in verdicts.items() if why}
    if json_wanted:
        print_json({"forgotten": forgotten, "refused": refused})
    else:
        _tell(forgotten, refused)
    if refused:
        click.get_current_context().exit(EXIT_FAILURE)


def _forget(mesh: TaskMesh, counted: Status, name: str) -> str:
    """Forget one queue; return why not, empty if it is forgotten."""
    served = serving(workers_of(counted), name)
    if served:
        return f"worker {served[0].name} serves it"
    verdict = mesh.link.run(forget_queue(mesh.link.session, name))
    if verdict in (FORGOTTEN, NOT_LISTED) and mesh.reset_queue_weight(name):
        return ""
    return "" if verdict == FORGOTTEN else _WHY[verdict]


def _tell(forgotten: Sequence[str], refused: dict[str, str]) -> None:
    for name in forgotten:
        click.echo(name)
    say(f"forgot {len(forgotten):,} queue" + ("" if len(forgotten) == 1 else "s"))
    for name, why in refused.items():
        say(f"{name}: {why}")
