"""`taskmesh status`: a mesh at a glance."""

from __future__ import annotations

from collections import Counter
from typing import Any

import click

from taskmesh.app import TaskMesh
from taskmesh.cli.group import ending
from taskmesh.cli.output import as_duration, as_size, facts, json_option, print_json, show
from taskmesh.cli.queues import queue_rows, queue_table
from taskmesh.cli.target import Target, target_options
from taskmesh.cli.worker_list import WorkerFacts, workers_of
from taskmesh.core.state import FINAL, LETTER
from taskmesh.nodes.node_facts import NodeFacts, read_facts
from taskmesh.queue.manage import Status
from taskmesh.queue.manage import status as count

_ENDS = {LETTER[state].decode(): state.value for state in sorted(FINAL)}


@click.command(
    epilog=ending(
        examples=["taskmesh status -A app:mesh", "taskmesh status --mesh shop --json"],
        codes=["0 shown", "1 the node cannot be reached, or there is no such mesh"],
    )
)
@target_options()
@json_option
def status(*, target: Target, json_wanted: bool) -> None:
    """Show a mesh at a glance: its node, queues and totals.

    Ready messages wait for a worker, delayed ones for a time, parked ones for a worker that knows their task, blocked
    ones for their turn in a sequence. The totals count what ended since the mesh was made.
    """
    mesh = target.look()
    counted = mesh.link.run(count(mesh.link.session))
    node = mesh.link.run(read_facts(mesh.link.session))
    workers = workers_of(counted)
    if json_wanted:
        print_json(_document(mesh, node, counted, workers))
        return
    show(_overview(mesh, node, counted, workers))
    rows = queue_rows(counted, workers, mesh.queue_weights())
    if rows:
        show("", queue_table(rows))


def totals(counted: Status) -> dict[str, int]:
    """Return how many messages reached each final state."""
    summed: Counter[str] = Counter()
    for (_, letter), number in counted.stats.items():
        if letter in _ENDS:
            summed[_ENDS[letter]] += number
    return {state: summed[state] for state in _ENDS.values()}


def _overview(mesh: TaskMesh, node: NodeFacts, counted: Status, workers: list[WorkerFacts]) -> Any:
    limit = f" of {as_size(node.memory_limit)}" if node.memory_limit else ", no limit"
    live = [worker for worker in workers if worker.state == "live"]
    ended = ", ".join(f"{number:,} {state}" for state, number in totals(counted).items() if number)
    return facts(
        f"mesh {mesh.name}",
        [
            ("node", mesh.link.driver.address),
            ("server", f"{node.product} {node.version}, up {as_duration(node.uptime_s)}"),
            ("memory", f"{as_size(node.memory_used)}{limit}"),
            ("persistence", node.persistence),
            ("workers", f"{len(live)} for {sum(worker.slots for worker in live)} tasks at once"),
            ("running", sum(worker.running for worker in workers)),
            ("ready", sum(counted.queues.values())),
            *([("paused", ", ".join(sorted(counted.paused)))] if counted.paused else []),
            ("delayed", max(0, counted.delayed - counted.parked)),
            ("parked", counted.parked),
            ("blocked", sum(counted.blocked.values())),
            ("dead letters", counted.dead),
            ("ended", ended or "nothing yet"),
        ],
    )


def _document(mesh: TaskMesh, node: NodeFacts, counted: Status, workers: list[WorkerFacts]) -> dict[str, Any]:
    return {
        "mesh": mesh.name,
        "node": {"address": str(mesh.link.driver.address), **node.as_json()},
        "queues": [row.as_json() for row in queue_rows(counted, workers, mesh.queue_weights())],
        "workers": [worker.as_json() for worker in workers],
        "running": sum(worker.running for worker in workers),
        "ready": sum(counted.queues.values()),
        "delayed": max(0, counted.delayed - counted.parked),
        "parked": counted.parked,
        "paused": sorted(counted.paused),
        "blocked": sum(counted.blocked.values()),
        "dead": counted.dead,
        "totals": totals(counted),
    }
