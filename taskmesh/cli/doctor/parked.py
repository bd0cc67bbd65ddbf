"""What no worker could take: which task it is of, in which queue, and who would have to serve that."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from taskmesh.app import TaskMesh
from taskmesh.cli.doctor.finding import Finding, ok, warn
from taskmesh.cli.worker_list import WorkerFacts
from taskmesh.queue.manage import Status

#: So many of the messages that wait for a time are looked at, and so many tasks are named.
LOOKED_AT, NAMED = 100, 3


def check_parked(mesh: TaskMesh, counted: Status, workers: Sequence[WorkerFacts]) -> Iterator[Finding]:
    """Look at what is parked. Messages are read only where there are any.

    Args:
        mesh: Which.
        counted: How much is parked.
        workers: Who is there.
    """
    if not counted.parked:
        yield ok("parked", "none")
        return
    rows = mesh.inspect(limit=LOOKED_AT).scheduled()["node"]
    found = [(row["task"], row["queue"]) for row in rows if row["parked_by"] and row["task"]]
    yield parked(counted.parked, list(dict.fromkeys(found)), workers)


def parked(count: int, found: Sequence[tuple[str, str]], workers: Sequence[WorkerFacts]) -> Finding:
    """Return what is to be said of messages that are parked.

    Args:
        count: How many there are.
        found: The tasks and queues of those that were looked at.
        workers: Who is there.
    """
    live = [worker for worker in workers if worker.state == "live"]
    which = "; ".join(_which(task, queue, live) for task, queue in found[:NAMED])
    more = ", and others" if len(found) > NAMED else ""
    queues = ",".join(dict.fromkeys(queue for _, queue in found[:NAMED])) or "THEIR_QUEUE"
    return warn(
        "parked",
        f"{count:,} wait for a worker that knows their task and serves their queue"
        + (f": {which}{more}" if which else ""),
        f"start a worker of the app that has the task on that queue (taskmesh worker APP -Q {queues}); two apps that "
        "share a queue by mistake get one each (queue=), or a mesh; after unknown_task_grace they are dead letters",
    )


def _which(task: str, queue: str, live: Sequence[WorkerFacts]) -> str:
    """Name a task and its queue, and who knows it and serves other queues only."""
    knowing = [worker for worker in live if worker.tasks is not None and task in worker.tasks]
    if not knowing or any(queue in worker.queues for worker in knowing):
        return f"{task} in {queue}"
    others = ", ".join(f"{worker.name} (queues {', '.join(worker.queues)})" for worker in knowing[:NAMED])
    return f"{task} in {queue}; it is known to {others}, not on that queue"
