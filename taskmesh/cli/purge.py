"""`taskmesh purge`: revoke what waits in a queue."""

from __future__ import annotations

import sys

import click

from taskmesh.app import TaskMesh
from taskmesh.cli.celery_options import OF_PURGE, refused_options
from taskmesh.cli.group import ending
from taskmesh.cli.output import json_option, print_json, say
from taskmesh.cli.target import Target, target_options
from taskmesh.codec.outcome import Outcome, encode_outcome
from taskmesh.core.lines import check_queue
from taskmesh.core.steps import Steps
from taskmesh.queue.manage import peek, revoke, status

#: Messages in one look and one revoke.
BATCH = 500
_REVOKED = ord("o")


@click.command(
    epilog=ending(
        examples=["taskmesh purge mail -A app:mesh", "taskmesh purge mail --mesh shop --yes --json"],
        codes=["0 revoked, also where nothing waited", "1 not confirmed, or the node cannot be reached"],
    )
)
@click.argument("queue")
@click.option("--yes", is_flag=True, help="Do not ask.")
@refused_options(OF_PURGE)
@target_options()
@json_option
def purge(*, queue: str, yes: bool, target: Target, json_wanted: bool) -> None:
    """Revoke every message that waits in a queue.

    Those who wait for their results are told: they are REVOKED. What runs already goes on; what is delayed or parked
    is not in the queue yet, and stays. Messages sent while this runs stay as well. Asks first.
    """
    check_queue(queue)
    mesh = target.open()
    counted = mesh.link.run(status(mesh.link.session))
    ready = counted.queues.get(queue, 0) + counted.blocked.get(queue, 0)
    if queue not in counted.queues:
        known = ", ".join(sorted(counted.queues)) or "none"
        say(f"mesh {mesh.name} has no queue {queue!r} (queues: {known})")
    if ready and not yes:
        confirm(
            f"revoke {ready:,} {'message' if ready == 1 else 'messages'} of queue {queue!r} of {mesh.name}?"
        )
    revoked = mesh.link.run(_revoke_all(mesh, queue, ready)) if ready else 0
    if json_wanted:
        print_json({"queue": queue, "revoked": revoked})
    else:
        click.echo(f"revoked {revoked:,} {'message' if revoked == 1 else 'messages'} of queue {queue}")


def confirm(question: str) -> None:
    """Ask on a terminal.

    Raises:
        UsageError: There is no terminal to ask on.
        Abort: The answer is no.
    """
    if not sys.stdin.isatty():
        raise click.UsageError("there is no terminal to ask on: give --yes")
    click.confirm(question, abort=True, err=True)


def _revoke_all(mesh: TaskMesh, queue: str, ready: int) -> Steps[int]:
    """Revoke the first `ready` messages of a queue, each with the version that it had when it was looked at."""
    link = mesh.link
    revoked, looked = 0, 0
    while looked < ready:
        found = yield from peek(link.session, queue, min(BATCH, ready - looked))
        if not found:
            break
        looked += len(found)
        entries = [(task_id.encode(), version, _outcome(mesh, task_id)) for task_id, version in found]
        verdicts = yield from revoke(link.session, entries)
        revoked += verdicts.count(_REVOKED)
    yield from peek(link.session, queue, 1)  # it clears away the hints of what was revoked
    return revoked


def _outcome(mesh: TaskMesh, task_id: str) -> bytes:
    outcome = Outcome(
        task_id,
        "REVOKED",
        finished_ms=mesh.link.clock.now_ms(),
        worker=mesh.portal.client_name,
        reason="purged with its queue",
    )
    return encode_outcome(outcome, mesh.link.results)
