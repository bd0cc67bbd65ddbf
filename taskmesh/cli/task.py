"""`taskmesh task`: what operators set for single tasks."""

from __future__ import annotations

import click

from taskmesh.app import TaskMesh
from taskmesh.cli.call import full_name
from taskmesh.cli.failure import EXIT_USAGE, Failure
from taskmesh.cli.group import SuggestingGroup, ending
from taskmesh.cli.output import json_option, print_json, say, show, table
from taskmesh.cli.target import Target, target_options
from taskmesh.cli.worker_list import workers_of
from taskmesh.client.options import check_limit
from taskmesh.core.naming import check_task_name
from taskmesh.queue.manage import status


@click.group(cls=SuggestingGroup)
def task() -> None:
    """Say how often a task may start, while everything runs."""


@task.command(
    "rate-limit",
    epilog=ending(
        examples=[
            "taskmesh task rate-limit send_mail 100/s -A app:mesh",
            "taskmesh task rate-limit app.send_mail none --mesh shop",
            "taskmesh task rate-limit send_mail --reset",
            "taskmesh task rate-limit --json",
        ],
        codes=[
            "0 that is its limit, also where it was already; or shown",
            "1 the node cannot be reached, or there is no such mesh",
        ],
    ),
)
@click.argument("name", metavar="[TASK]", required=False)
@click.argument("limit", required=False)
@click.option("--reset", is_flag=True, help="Let the limit count again that the code says.")
@target_options()
@json_option
def rate_limit(
    *, name: str | None, limit: str | None, reset: bool, target: Target, json_wanted: bool
) -> None:
    """Have a task start no more often than LIMIT, by all workers together: 100/s, 10/m, 5/h or none.

    It counts within a second, instead of the rate_limit= in the code. TASK may be the end of a name, where only one
    fits. Without LIMIT and --reset, tells what is set; without TASK, for all.
    """
    if name is None:
        if reset:
            raise click.UsageError("which task is to have the limit of the code again? Name it")
        _list(target, json_wanted=json_wanted)
        return
    if reset and limit is not None:
        raise click.UsageError("give a limit, or --reset")
    if limit is not None:
        limit = check_limit(int(limit) if limit.isdecimal() else limit)
    mesh = target.open() if limit is not None or reset else target.look()
    name = _meant(name, mesh, target)
    changed = False
    if limit is not None:
        changed = mesh.set_rate_limit(name, limit)
    elif reset:
        changed = mesh.reset_rate_limit(name)
    found = mesh.rate_limits().get(name)
    if json_wanted:
        print_json({"task": name, "rate_limit": found, "changed": changed})
    elif found is None:
        click.echo(f"task {name} starts as often as its code says: no other limit is set")
    else:
        means = "as often as it can" if found == "none" else f"{found} at most, by all workers together"
        click.echo(f"task {name} starts {means}; `taskmesh task rate-limit {name} --reset` takes that away")


def _list(target: Target, *, json_wanted: bool) -> None:
    mesh = target.look()
    found = sorted(mesh.rate_limits().items())
    if json_wanted:
        print_json([{"task": name, "rate_limit": limit} for name, limit in found])
    elif found:
        show(table("rate limits that were set", ["task", "limit"], found))
    else:
        show(f"no task of mesh {mesh.name} has another limit than its code says")


def _meant(name: str, mesh: TaskMesh, target: Target) -> str:
    """Return the task that was meant: one of the app or, where none was given, of those that live workers run.

    Raises:
        Failure: Several fit; or the app has none.
    """
    if target.app:
        return full_name(name, mesh)
    check_task_name(name)
    workers = workers_of(mesh.link.run(status(mesh.link.session, with_queues=False)))
    known = {each for worker in workers if worker.state == "live" for each in worker.tasks or ()}
    fitting = [name] if name in known else sorted(each for each in known if each.endswith(f".{name}"))
    if len(fitting) > 1:
        raise Failure(
            f"several tasks of mesh {mesh.name!r} end in {name!r}: {', '.join(fitting)}", EXIT_USAGE
        )
    if not fitting:
        say(f"no live worker tells of a task {name!r}: the name is taken as it stands")
    return fitting[0] if fitting else name
