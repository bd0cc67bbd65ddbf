"""What one look at a mesh shows: its queues, workers and nodes at one moment."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from taskmesh.cli.broker_list import BrokerSeen, brokers_of
from taskmesh.cli.candidate_list import candidates_of
from taskmesh.cli.queues import DeadCount, dead_now
from taskmesh.cli.status import totals
from taskmesh.cli.worker_list import serving, workers_of
from taskmesh.client.inspect import Inspection
from taskmesh.nodes.look import Look
from taskmesh.nodes.node_facts import read_facts
from taskmesh.queue.backlog import backlogs
from taskmesh.queue.manage import status as count
from taskmesh.replication.view import copies_missing

if TYPE_CHECKING:
    from taskmesh.app import TaskMesh
    from taskmesh.client.inspect import Worker
    from taskmesh.coordination.candidates import CandidateSeen

#: Messages of each worker that are looked at for what runs.
RUNNING_MAX = 200
#: Dead letters of each node that are looked at for their queues, the newest: it is done each second.
DEAD_MAX = 500
#: Queues whose oldest message is asked for: those with the most that waits.
OLDEST_MAX = 100


@dataclass(frozen=True, slots=True)
class QueueSeen:
    """A queue.

    Attributes:
        name: Its name.
        ready: Messages that wait for a worker.
        running: Messages that run, as far as workers were looked at.
        idle: Children that wait for a message.
        oldest_s: Since when the first in line waits; None where nothing does.
        ended: How many ended, since the mesh was made.
        dead: Dead letters that are there now, as far as they were looked at.
        paused: Whether nothing of it is begun.
        workers: How many live workers serve it.
    """

    name: str
    ready: int
    running: int
    idle: int
    oldest_s: float | None
    ended: int
    dead: int
    paused: bool
    workers: int


@dataclass(frozen=True, slots=True)
class WorkerSeen:
    """A worker.

    Attributes:
        name: Its name.
        state: `live` or `dead`.
        children: Processes.
        running: Messages that run.
        ended: Runs of this life.
        rss_bytes: Memory; 0 if not known.
        beat_age_s: Since its last heartbeat; None if not known.
        queues: That it serves.
        longest: Name of the task that runs longest, and for how many seconds.
    """

    name: str
    state: str
    children: int
    running: int
    ended: int
    rss_bytes: int
    beat_age_s: float | None
    queues: str
    longest: tuple[str, float] | None


@dataclass(frozen=True, slots=True)
class NodeSeen:
    """A node.

    Attributes:
        name: Its id; empty for the only one.
        address: Where it is.
        state: As the view has it, or `does not answer`.
        slots: How many it leads.
        memory_used: Bytes.
        memory_limit: Bytes; 0 for none.
        server: Product and version.
    """

    name: str
    address: str
    state: str
    slots: int = 0
    memory_used: int = 0
    memory_limit: int = 0
    server: str = ""


@dataclass(frozen=True, slots=True)
class Seen:
    """All of it.

    Attributes:
        mesh: Name of the mesh.
        at_s: When, on this process's monotonic clock.
        queues: By name.
        workers: By name.
        nodes: In the order of the view.
        delayed: Messages that wait for a time.
        parked: Messages that no worker's build knows.
        dead: Dead letters.
        totals: State -> how many ended in it, since the mesh was made.
        view: Its number; 0 where there is but one node.
        missing: Copies of slots that are lacking.
        problem: What could not be looked at; empty for nothing.
        schedulers: Who stands for leader, the leader first.
        brokers: Of which the workers tell.
    """

    mesh: str
    at_s: float
    queues: tuple[QueueSeen, ...]
    workers: tuple[WorkerSeen, ...]
    nodes: tuple[NodeSeen, ...]
    delayed: int
    parked: int
    dead: int
    totals: Mapping[str, int] = field(default_factory=dict)
    view: int = 0
    missing: int = 0
    problem: str = ""
    schedulers: tuple[CandidateSeen, ...] = ()
    brokers: tuple[BrokerSeen, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Return it for programs."""
        found = {name: value for name, value in asdict(self).items() if name != "at_s"}
        return found | {
            "schedulers": [each.as_json() for each in self.schedulers],
            "brokers": [each.as_json() for each in self.brokers],
        }


def look_at(mesh: TaskMesh, look: Look | None = None) -> Seen:
    """Look once. Of several nodes one is enough.

    Args:
        mesh: Which.
        look: By which it is asked; a new one if not given.

    Raises:
        TaskMeshError: No node answers.
    """
    link = mesh.link
    look = look or Look(link)
    counted = look.run(count(link.session))
    busiest = sorted(counted.queues, key=lambda name: -counted.queues[name])[:OLDEST_MAX]
    waiting = look.run(backlogs(link.session, [name for name in busiest if counted.queues[name]])) or {}
    dead = dead_now(look, most=DEAD_MAX) if counted.dead else DeadCount({})
    told = dict(look.ask_each(lambda: read_facts(link.session)))
    inspection = Inspection(link, limit=RUNNING_MAX, look=look)
    active = inspection.active() if any(row[4] for row in counted.workers) else {}
    running = Counter(str(row["queue"]) for rows in active.values() for row in rows)
    now_ms = link.clock.now_ms()
    known = workers_of(counted)
    workers = inspection.workers()
    names = sorted({*counted.queues, *counted.paused, *(queue for one in known for queue in one.queues)})

    def queue(name: str) -> QueueSeen:
        ended = {letter: number for (of, letter), number in counted.stats.items() if of == name}
        first_ms = waiting.get(name, (0, 0))[1]
        return QueueSeen(
            name,
            counted.queues.get(name, 0),
            running[name],
            counted.idle.get(name, 0),
            max(0.0, (now_ms - first_ms) / 1000) if first_ms else None,
            sum(ended.values()),
            dead.queues.get(name, 0),
            name in counted.paused,
            len(serving(known, name)),
        )

    return Seen(
        mesh=mesh.name,
        at_s=time.monotonic(),
        queues=tuple(map(queue, names)),
        workers=tuple(_worker(one, active.get(one.name, ()), now_ms) for one in workers),
        nodes=_nodes(mesh, told),
        delayed=max(0, counted.delayed - counted.parked),
        parked=counted.parked,
        dead=counted.dead,
        totals=totals(counted),
        view=link.view.number if link.view is not None else 0,
        missing=copies_missing(link.view) if link.view is not None else 0,
        problem="; ".join(f"node {node} does not answer" for node in look.away),
        schedulers=candidates_of(counted, now_ms),
        brokers=brokers_of(workers, now_ms),
    )


def _worker(one: Worker, rows: Any, now_ms: int) -> WorkerSeen:
    report = one.report
    ages = [(row["age_s"], str(row["task"] or "not verified")) for row in rows if row["age_s"] is not None]
    longest_s, task = max(ages, default=(0.0, ""))
    return WorkerSeen(
        one.name,
        one.state,
        len(report.children) + report.left_out if report else 0,
        sum(child.running for child in report.children) if report else 0,
        sum(report.counts.values()) if report else 0,
        report.rss_bytes if report else 0,
        max(0.0, (now_ms - report.at_ms) / 1000) if report else None,
        ",".join(str(queue) for queue in one.about.get("queues") or ()),
        (task, longest_s) if task else None,
    )


def _nodes(mesh: TaskMesh, told: Mapping[str, Any]) -> tuple[NodeSeen, ...]:
    link = mesh.link
    view = link.view
    found = []
    members = [(m.id, m.address, m.state, len(view.led_by(m.id))) for m in view.members] if view else []
    for name, address, state, slots in members or [("", str(link.driver.address), "up", 0)]:
        facts = told.get(name)
        if facts is None:
            # what the view says of it may be old
            silent = "does not answer" if state == "up" else f"{state}, does not answer"
            found.append(NodeSeen(name, address, silent if name else state, slots))
            continue
        server = f"{facts.product} {facts.version}"
        found.append(NodeSeen(name, address, state, slots, facts.memory_used, facts.memory_limit, server))
    return tuple(found)
