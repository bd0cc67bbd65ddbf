"""`taskmesh workers`: where workers run and what they serve."""

from __future__ import annotations

import click

from taskmesh.cli.group import ending
from taskmesh.cli.looking import ONE_IS_ENOUGH, looking, silence
from taskmesh.cli.output import as_time, json_option, print_json, show, table
from taskmesh.cli.target import Target, target_options
from taskmesh.cli.worker_list import workers_of
from taskmesh.queue.manage import status as count


@click.command(
    epilog=ending(
        examples=[
            "taskmesh workers -A app:mesh",
            "taskmesh workers --mesh shop --json",
            "taskmesh workers --stop mailer",
        ],
        codes=[
            ONE_IS_ENOUGH,
            "1 no node can be reached, or there is no such mesh",
            "2 no worker has that name",
        ],
    )
)
@target_options()
@json_option
@click.option("--stop", "stop", metavar="NAME", multiple=True, help="Tell a worker to stop; may be repeated.")
@click.option("--stop-all", is_flag=True, help="Tell all workers to stop.")
def workers(*, target: Target, json_wanted: bool, stop: tuple[str, ...], stop_all: bool) -> None:
    """Show the workers: where they run and what they serve.

    With --stop or --stop-all, tell workers to stop. The order is signed and read with each worker's next
    heartbeat (within two seconds): it finishes what runs and returns the rest, as after a first SIGTERM.

    The state is `live`, or `dead` while what a dead worker held is being given back. `running` counts the messages
    that a worker holds.
    """
    mesh = target.look()
    if stop or stop_all:
        told = mesh.stop_workers(*(() if stop_all else stop))
        if json_wanted:
            print_json({"told": told})
        else:
            show(f"told to stop: {', '.join(told)}" if told else f"mesh {mesh.name} has no workers")
        return
    with looking(mesh) as look:
        found = workers_of(look.run(count(mesh.link.session, with_queues=False)))
    if json_wanted:
        print_json([worker.as_json() | silence(look) for worker in found])
    elif found:
        show(
            table(
                "workers",
                ["name", "host", "pid", "queues", "pools", "slots", "running", "state", "since", "app"],
                [
                    (
                        worker.name,
                        worker.host,
                        str(worker.pid),
                        ", ".join(worker.queues),
                        " ".join(str(pool) for pool in worker.pools),
                        worker.slots,
                        worker.running,
                        worker.state,
                        as_time(worker.since_ms),
                        worker.app or "by value only",
                    )
                    for worker in found
                ],
                numbers=["pid", "slots", "running"],
            )
        )
    else:
        show(f"mesh {mesh.name} has no workers; start one with: {target.worker_command(mesh.name)}")
