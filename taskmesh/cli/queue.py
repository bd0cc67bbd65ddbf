"""`taskmesh queue`: pause queues, let them go on, weigh, list and forget them."""

from __future__ import annotations

import click

from taskmesh.cli.forget_queue import forget
from taskmesh.cli.group import SuggestingGroup, ending
from taskmesh.cli.output import json_option, print_json, say
from taskmesh.cli.queues import queues
from taskmesh.cli.target import Target, target_options
from taskmesh.cli.weight import weight
from taskmesh.cli.worker_list import workers_of
from taskmesh.core.lines import check_queue
from taskmesh.queue.manage import status


@click.group(cls=SuggestingGroup)
def queue() -> None:
    """Pause queues, let them go on, weigh, list and forget them.

    A pause holds for every worker, also for those that start later, until the queue is resumed; so does a weight.
    """


queue.add_command(queues, "list")
queue.add_command(forget)
queue.add_command(weight)


@queue.command(
    epilog=ending(
        examples=["taskmesh queue pause mail -A app:mesh", "taskmesh queue pause mail --mesh shop --json"],
        codes=[
            "0 paused, also where it was already",
            "1 the node cannot be reached, or there is no such mesh",
        ],
    )
)
@click.argument("name")
@target_options()
@json_option
def pause(*, name: str, target: Target, json_wanted: bool) -> None:
    """Pause a queue: from now on nothing of it is begun.

    Messages go on being accepted, delayed ones become ready and wait. What runs already goes on, and so may what a
    worker has just taken: within a second nothing more is begun.
    """
    check_queue(name)
    mesh = target.open()
    changed = mesh.pause_queue(name)
    counted = mesh.link.run(status(mesh.link.session))
    is_served = any(name in worker.queues for worker in workers_of(counted) if worker.state == "live")
    if name not in counted.queues and not is_served:
        say(f"mesh {mesh.name} has no queue {name!r} yet: it is paused for when it comes")
    if json_wanted:
        print_json({"queue": name, "paused": True, "changed": changed, "ready": counted.queues.get(name, 0)})
    else:
        became = "is" if changed else "was already"
        click.echo(f"queue {name} {became} paused; `taskmesh queue resume {name}` lets it go on")


@queue.command(
    epilog=ending(
        examples=["taskmesh queue resume mail -A app:mesh", "taskmesh queue resume mail --mesh shop --json"],
        codes=[
            "0 it goes on, also where it was not paused",
            "1 the node cannot be reached, or there is no such mesh",
        ],
    )
)
@click.argument("name")
@target_options()
@json_option
def resume(*, name: str, target: Target, json_wanted: bool) -> None:
    """Let a paused queue go on, and wake the workers that wait for it."""
    check_queue(name)
    mesh = target.open()
    changed = mesh.resume_queue(name)
    if json_wanted:
        print_json({"queue": name, "paused": False, "changed": changed})
    else:
        click.echo(f"queue {name} {'goes on' if changed else 'was not paused'}")
