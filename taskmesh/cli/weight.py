"""`taskmesh queue weight`: how much of each worker's time a queue gets, while they run."""

from __future__ import annotations

import click

from taskmesh.balancing.named import BY_WEIGHT
from taskmesh.cli.group import ending
from taskmesh.cli.output import json_option, print_json, say
from taskmesh.cli.target import Target, target_options
from taskmesh.cli.worker_list import serving, workers_of
from taskmesh.config.strategies import DEFAULT, STRATEGIES
from taskmesh.config.values import WEIGHT_MAX
from taskmesh.core.lines import check_queue
from taskmesh.queue.manage import Status, status


@click.command(
    epilog=ending(
        examples=[
            "taskmesh queue weight mail 3 -A app:mesh",
            "taskmesh queue weight mail --reset --mesh shop",
            "taskmesh queue weight mail --json",
        ],
        codes=[
            "0 it weighs so much, also where it did already; or shown",
            "1 the node cannot be reached, or there is no such mesh",
        ],
    )
)
@click.argument("name")
@click.argument("weight", required=False, type=click.IntRange(1, WEIGHT_MAX))
@click.option("--reset", is_flag=True, help="Let it weigh again what each worker was started with.")
@target_options()
@json_option
def weight(*, name: str, weight: int | None, reset: bool, target: Target, json_wanted: bool) -> None:
    """Have a queue weigh so much beside the others of each worker, from now on.

    It counts within a second, for every worker, also for those that start later, instead of what they were started
    with (-Q mail=3); a queue without a weight weighs 1. Without WEIGHT and --reset, tells what is set.
    """
    check_queue(name)
    if reset and weight is not None:
        raise click.UsageError("give a weight, or --reset")
    mesh = target.look() if weight is None and not reset else target.open()
    changed = False
    if weight is not None:
        changed = mesh.set_queue_weight(name, weight)
        _tell_who_reads_none(name, mesh.link.run(status(mesh.link.session, with_queues=False)))
    elif reset:
        changed = mesh.reset_queue_weight(name)
    found = mesh.queue_weights().get(name)
    if json_wanted:
        print_json({"queue": name, "weight": found, "changed": changed})
    elif found is None:
        click.echo(f"queue {name} weighs what each worker was started with: no other weight is set")
    else:
        click.echo(f"queue {name} weighs {found}; `taskmesh queue weight {name} --reset` takes that away")


def _tell_who_reads_none(queue: str, counted: Status) -> None:
    """Say which workers go by no weights."""
    blind = [
        f"{worker.name} ({worker.strategy})"
        for worker in serving(workers_of(counted), queue)
        if worker.strategy in STRATEGIES and worker.strategy not in (DEFAULT, BY_WEIGHT)
    ]
    if blind:
        say(f"it means nothing to workers whose strategy reads no weights: {', '.join(blind)}")
