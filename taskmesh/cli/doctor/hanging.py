"""A check for queues that stand still though workers serve them: all their children run tasks that do not end."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from taskmesh.cli.doctor.finding import Finding, warn
from taskmesh.cli.output import as_duration
from taskmesh.cli.worker_list import WorkerFacts, serving
from taskmesh.queue.manage import Status
from taskmesh.queue.oldest import oldest

if TYPE_CHECKING:
    from taskmesh.app import TaskMesh
    from taskmesh.nodes.look import Look

#: A message that waits for so long, behind tasks that run for so long, is worth a word.
LONG_S = 60.0
#: So many tasks are named.
_NAMED_MAX = 3

_Rows = Mapping[str, Sequence[Mapping[str, Any]]]


def check_hanging(
    mesh: TaskMesh, look: Look, counted: Status, workers: Sequence[WorkerFacts]
) -> Iterator[Finding]:
    """Look at the queues whose oldest message waits for long. What runs is read only where there is one.

    Args:
        mesh: Which.
        look: At it.
        counted: How much waits.
        workers: Those that live.
    """
    served = [
        name
        for name, ready in counted.queues.items()
        if ready and name not in counted.paused and serving(workers, name)
    ]
    if not served:
        return
    since_ms = look.run(oldest(mesh.link.session, served))
    now_ms = mesh.link.clock.now_ms()
    waits_s = {name: (now_ms - at_ms) / 1000 for name, at_ms in since_ms.items() if at_ms}
    if max(waits_s.values(), default=0.0) < LONG_S:
        return
    most = max(worker.slots for worker in workers)
    yield from hanging(counted, waits_s, workers, mesh.inspect(limit=max(1, most)).active())


def hanging(
    counted: Status, waits_s: Mapping[str, float], workers: Sequence[WorkerFacts], active: _Rows
) -> Iterator[Finding]:
    """Return what is to be said of queues that stand still.

    Args:
        counted: How much waits.
        waits_s: Queue -> for how long its oldest message has waited.
        workers: Those that live.
        active: Worker -> what it runs, as `mesh.inspect().active()` tells it.
    """
    for queue, waited_s in sorted(waits_s.items()):
        its = serving(workers, queue)
        if waited_s < LONG_S or counted.idle.get(queue) or not its:
            continue
        held = [_held(worker, queue, active) for worker in its]
        if any(rows is None for rows in held):
            continue
        rows = sorted((row for some in held for row in some or ()), key=lambda row: -row["age_s"])
        yield warn(
            "queues",
            f"{counted.queues.get(queue, 0):,} wait in {queue}, the oldest for {as_duration(waited_s)}, and all places "
            f"of its workers ({', '.join(worker.name for worker in its)}) are taken by tasks that do not end: "
            f"{_named(rows)}",
            f"for one that hangs: taskmesh revoke {rows[0]['id']} --terminate, and a time_limit for its task; for one "
            "that needs so long: more workers",
        )


def _held(worker: WorkerFacts, queue: str, active: _Rows) -> list[Mapping[str, Any]] | None:
    """Return what a worker has run for long on all places where a queue's messages could run; None if one is left."""
    pools = [pool for pool in worker.pools if queue in (pool.queues or worker.queues)]
    queues: Collection[str] = {name for pool in pools for name in pool.queues or worker.queues}
    rows = [
        row
        for row in active.get(worker.name, ())
        if row["queue"] in queues and row["age_s"] is not None and row["age_s"] >= LONG_S
    ]
    return rows if rows and len(rows) >= sum(pool.slots for pool in pools) else None


def _named(rows: Sequence[Mapping[str, Any]]) -> str:
    some = [
        f"{row['task'] or 'a task'} ({row['id']}) at {row['worker']} for {as_duration(row['age_s'])}"
        for row in rows[:_NAMED_MAX]
    ]
    more = len(rows) - len(some)
    return ", ".join(some) + (f" and {more:,} more" if more else "")
