"""`taskmesh status`: a mesh at a glance."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from taskmesh.app import TaskMesh
from taskmesh.cli.broker_list import BrokerSeen, brokers_of
from taskmesh.cli.candidate_list import candidates_of, in_words
from taskmesh.cli.group import ending
from taskmesh.cli.looking import ONE_IS_ENOUGH, looking, silence
from taskmesh.cli.node_list import copies_of_each
from taskmesh.cli.output import as_duration, as_size, facts, json_option, print_json, show
from taskmesh.cli.queues import QueueRow, dead_now, queue_rows, queue_table
from taskmesh.cli.target import Target, target_options
from taskmesh.cli.worker_list import WorkerFacts, workers_of
from taskmesh.client.inspect import Inspection
from taskmesh.coordination.candidates import CandidateSeen
from taskmesh.core.state import FINAL, LETTER
from taskmesh.nodes.node_facts import NodeFacts, read_facts
from taskmesh.queue.manage import Status
from taskmesh.queue.manage import status as count
from taskmesh.queue.setting import operated
from taskmesh.replication.view import copies_missing

if TYPE_CHECKING:
    from taskmesh.nodes.look import Look
    from taskmesh.replication.view import View

_ENDS = {LETTER[state].decode(): state.value for state in sorted(FINAL)}


@click.command(
    epilog=ending(
        examples=["taskmesh status -A app:mesh", "taskmesh status --mesh shop --json"],
        codes=[ONE_IS_ENOUGH, "1 no node can be reached, or there is no such mesh"],
    )
)
@target_options()
@json_option
def status(*, target: Target, json_wanted: bool) -> None:
    """Show a mesh at a glance: its nodes, workers, schedulers, queues and totals.

    Ready messages wait for a worker, delayed ones for a time, parked ones for a worker of their queue that knows their
    task, blocked ones for their turn in a sequence. The totals count what ended since the mesh was made; dead letters
    are those that are there now. Schedulers are
    those who stand for leader, workers among them; one that was killed is shown for some seconds more.
    """
    mesh = target.look()
    link = mesh.link
    with looking(mesh) as look:
        counted = look.run(count(link.session))
        nodes = _nodes(look)
        weights = look.run(operated(link.session)).weights
        dead = dead_now(look)
        # which stands in what workers publish: it takes no look at the broker, and no address of it
        brokers = brokers_of(Inspection(link, look=look).workers(), link.clock.now_ms())
    workers = workers_of(counted)
    rows = queue_rows(counted, workers, weights, dead)
    standing = candidates_of(counted, link.clock.now_ms())
    if json_wanted:
        print_json(_document(mesh, nodes, counted, workers, rows, standing, brokers) | silence(look))
        return
    show(_overview(mesh, nodes, counted, workers, standing, brokers))
    if rows:
        show("", queue_table(rows))


@dataclass(frozen=True, slots=True)
class NodeLook:
    """A node that was looked at.

    Attributes:
        name: Its id; empty for the only one.
        address: Where it is.
        facts: What it tells of itself; None if it does not answer.
    """

    name: str
    address: str
    facts: NodeFacts | None

    def as_json(self) -> dict[str, Any]:
        """Return what programs may want to know."""
        its = {"id": self.name, "answers": self.facts is not None} if self.name else {}
        return {**its, "address": self.address, **(self.facts.as_json() if self.facts else {})}


def _nodes(look: Look) -> list[NodeLook]:
    """Look at each node; of several, some may not answer.

    Raises:
        NodeUnavailable: None does.
    """
    link = look.link
    told = dict(look.ask_each(lambda: read_facts(link.session)))
    return [NodeLook(name, str(link.at(name).driver.address), told.get(name)) for name in link.nodes]


def totals(counted: Status) -> dict[str, int]:
    """Return how many messages reached each final state."""
    summed: Counter[str] = Counter()
    for (_, letter), number in counted.stats.items():
        if letter in _ENDS:
            summed[_ENDS[letter]] += number
    return {state: summed[state] for state in _ENDS.values()}


def _node_facts(look: NodeLook) -> list[tuple[str, object]]:
    node = look.facts
    if node is None:
        return [(look.name, f"{look.address} does not answer")]
    limit = f" of {as_size(node.memory_limit)}" if node.memory_limit else ", no limit"
    server = f"{node.product} {node.version}, up {as_duration(node.uptime_s)}"
    memory = f"{as_size(node.memory_used)}{limit}"
    if look.name:
        return [(look.name, f"{look.address}, {server}, {memory}, {node.persistence}")]
    return [
        ("node", look.address),
        ("server", server),
        ("memory", memory),
        ("persistence", node.persistence),
    ]


def _view_facts(view: View | None) -> list[tuple[str, object]]:
    if view is None:
        return []
    missing = copies_missing(view)
    lacking = f", {missing:,} copies are lacking" if missing else ""
    return [("view", f"{view.number}, {copies_of_each(view)}{lacking}")]


def _overview(
    mesh: TaskMesh,
    nodes: list[NodeLook],
    counted: Status,
    workers: list[WorkerFacts],
    standing: Sequence[CandidateSeen],
    brokers: Sequence[BrokerSeen],
) -> Any:
    live = [worker for worker in workers if worker.state == "live"]
    ended = ", ".join(f"{number:,} {state}" for state, number in totals(counted).items() if number)
    return facts(
        f"mesh {mesh.name}",
        [
            *[fact for look in nodes for fact in _node_facts(look)],
            *_view_facts(mesh.link.view),
            ("workers", f"{len(live)} for {sum(worker.slots for worker in live)} tasks at once"),
            ("schedulers", in_words(standing)),
            *(("broker", broker.in_words()) for broker in brokers),
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


def _document(
    mesh: TaskMesh,
    nodes: list[NodeLook],
    counted: Status,
    workers: list[WorkerFacts],
    rows: list[QueueRow],
    standing: Sequence[CandidateSeen],
    brokers: Sequence[BrokerSeen],
) -> dict[str, Any]:
    view = mesh.link.view
    where: dict[str, Any] = (
        {"node": nodes[0].as_json()}
        if view is None
        else {"view": view.number, "nodes": [look.as_json() for look in nodes]}
    )
    return {
        "mesh": mesh.name,
        **where,
        "queues": [row.as_json() for row in rows],
        "workers": [worker.as_json() for worker in workers],
        "schedulers": [each.as_json() for each in standing],
        "brokers": [broker.as_json() for broker in brokers],
        "running": sum(worker.running for worker in workers),
        "ready": sum(counted.queues.values()),
        "delayed": max(0, counted.delayed - counted.parked),
        "parked": counted.parked,
        "paused": sorted(counted.paused),
        "blocked": sum(counted.blocked.values()),
        "dead": counted.dead,
        "totals": totals(counted),
    }
