"""`taskmesh workers`: where workers run and what they serve."""

from __future__ import annotations

import click

from taskmesh.cli.group import ending
from taskmesh.cli.output import as_time, json_option, print_json, show, table
from taskmesh.cli.target import Target, target_options
from taskmesh.cli.worker_list import workers_of
from taskmesh.queue.manage import status as count


@click.command(
    epilog=ending(
        examples=["taskmesh workers -A app:mesh", "taskmesh workers --mesh shop --json"],
        codes=["0 shown", "1 the node cannot be reached, or there is no such mesh"],
    )
)
@target_options()
@json_option
def workers(*, target: Target, json_wanted: bool) -> None:
    """Show the workers: where they run and what they serve.

    The state is `live`, or `dead` while what a dead worker held is being given back. `running` counts the messages
    that a worker holds.
    """
    mesh = target.look()
    found = workers_of(mesh.link.run(count(mesh.link.session)))
    if json_wanted:
        print_json([worker.as_json() for worker in found])
    elif found:
        show(
            table(
                "workers",
                ["name", "host", "pid", "queues", "children", "running", "state", "since", "app"],
                [
                    (
                        worker.name,
                        worker.host,
                        str(worker.pid),
                        ", ".join(worker.queues),
                        worker.children,
                        worker.running,
                        worker.state,
                        as_time(worker.since_ms),
                        worker.app or "by value only",
                    )
                    for worker in found
                ],
                numbers=["pid", "children", "running"],
            )
        )
    else:
        show(
            f"mesh {mesh.name} has no workers; `taskmesh worker {target.app or '--mesh ' + mesh.name}` starts one"
        )
