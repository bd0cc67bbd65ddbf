"""The workers of a mesh as they registered, and which of them run other code under the same name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from taskmesh.cli.output import as_iso
from taskmesh.codec.about import read_about
from taskmesh.queue.manage import Status
from taskmesh.worker.pools import PROCESS, Pool, seats


@dataclass(frozen=True, slots=True)
class WorkerFacts:
    """What a worker tells of itself.

    Attributes:
        incarnation: One life of it.
        name: For people.
        state: `live` or `dead`.
        host: Where it runs.
        pid: Its supervisor.
        app: `module:attribute`; empty for a worker of by-value tasks only.
        place: File of the app.
        build: What it can run, as a hash.
        queues: What it serves, best first.
        children: How many child processes.
        slots: How many tasks at once.
        pools: How they run side by side: kind, slots and queues of each.
        running: How many messages it holds.
        since_ms: When it started.
        tasks: What it can run; None where it does not tell.
        strategy: By which it chooses from which queue to take next.
    """

    incarnation: str
    name: str
    state: str
    host: str
    pid: int
    app: str
    place: str
    build: str
    queues: tuple[str, ...]
    children: int
    slots: int
    pools: tuple[Pool, ...]
    running: int
    since_ms: int
    tasks: frozenset[str] | None
    strategy: str = ""

    def as_json(self) -> dict[str, Any]:
        """Return what programs may want to know."""
        return {
            "name": self.name,
            "state": self.state,
            "host": self.host,
            "pid": self.pid,
            "queues": list(self.queues),
            "children": self.children,
            "slots": self.slots,
            "pools": [
                {"kind": pool.kind, "slots": pool.slots, "queues": list(pool.queues)} for pool in self.pools
            ],
            "running": self.running,
            "since": as_iso(self.since_ms),
            "app": self.app or None,
            "place": self.place or None,
            "build": self.build or None,
            "incarnation": self.incarnation,
        }


def workers_of(counted: Status) -> list[WorkerFacts]:
    """Return the workers in a status, by name."""
    found = [
        _facts(incarnation, state, running, read_about(info))
        for incarnation, state, _, info, running in counted.workers
    ]
    return sorted(found, key=lambda worker: (worker.name, worker.incarnation))


def _facts(incarnation: str, state: str, running: int, info: Mapping[str, Any]) -> WorkerFacts:
    tasks = info.get("tasks")
    pools = _pools(info)
    return WorkerFacts(
        incarnation=incarnation,
        name=str(info.get("name", incarnation)),
        state=state,
        host=str(info.get("host", "")),
        pid=int(info.get("pid", 0)),
        app=str(info.get("app", "")),
        place=str(info.get("place", "")),
        build=str(info.get("build", "")),
        queues=tuple(info.get("queues", ())),
        children=len(seats(pools)),
        slots=sum(pool.slots for pool in pools),
        pools=pools,
        running=running,
        since_ms=int(info.get("since_ms", 0)),
        tasks=None if tasks is None else frozenset(tasks),
        strategy=str(info.get("strategy", "")),
    )


def _pools(info: Mapping[str, Any]) -> tuple[Pool, ...]:
    """Return the pools of a worker; one of processes where it does not tell of any."""
    told = info.get("pools") or [{"slots": info.get("concurrency", 0), "queues": info.get("queues", ())}]
    return tuple(
        Pool(str(pool.get("kind", PROCESS)), int(pool.get("slots", 0)), tuple(pool.get("queues", ())))
        for pool in told
    )


def serving(workers: Iterable[WorkerFacts], queue: str) -> list[WorkerFacts]:
    """Return the live workers that serve a queue."""
    return [worker for worker in workers if worker.state == "live" and queue in worker.queues]


def strangers(one: WorkerFacts, workers: Iterable[WorkerFacts]) -> list[WorkerFacts]:
    """Return the live workers that serve one of its queues with other code: a second mesh of the same name.

    Another version of the same app is no stranger: a rolling deploy shares tasks with what it replaces. So it
    takes another place, another build, and not one task in common.
    """
    return [other for other in workers if _is_strange(one, other)]


def _is_strange(one: WorkerFacts, other: WorkerFacts) -> bool:
    if one.incarnation == other.incarnation or other.state != "live":
        return False
    if not one.app or not other.app or not set(one.queues) & set(other.queues):
        return False
    if one.place == other.place or one.build == other.build:
        return False
    if one.tasks is None or other.tasks is None:
        return one.app != other.app  # the next best thing to go by
    return not one.tasks & other.tasks


def clash(one: WorkerFacts, other: WorkerFacts) -> str:
    """Return the sentence that tells of a stranger."""
    shared = ", ".join(sorted(set(one.queues) & set(other.queues)))
    return (
        f"other code serves the same queue ({shared}) of this mesh: worker {other.name} runs {_code(other)}, worker "
        f"{one.name} runs {_code(one)}, and they have no task in common; each is sent what only the other knows"
    )


def _code(worker: WorkerFacts) -> str:
    return f"{worker.app} from {worker.place or 'an unknown place'} (build {worker.build})"
