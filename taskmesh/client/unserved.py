"""Tells a waiting caller, once, why nothing becomes of what it waits for: its queue, or its task, is nobody's."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from taskmesh.codec.about import read_about
from taskmesh.core import keys
from taskmesh.core.record import Record
from taskmesh.core.state import State
from taskmesh.core.steps import Session, Steps
from taskmesh.errors import TaskMeshError
from taskmesh.queue.manage import Status, status
from taskmesh.replication.ask import plain
from taskmesh.results.read import read

log = logging.getLogger("taskmesh")
#: How many of the messages that wait long are looked at for the queues that they wait in.
WARN_MAX = 50
#: What a message is in that may be nobody's; one that waits for a time is told apart from one that is parked.
STATES = frozenset({State.PENDING, State.SCHEDULED})


def tell_who_serves(
    session: Session,
    mesh: str,
    task_ids: Sequence[str],
    warned: set[str],
    worker_command: Callable[[str], str],
) -> Steps[None]:
    """Warn of queues that nobody serves or that are paused, and of messages whose task no worker knows.

    Args:
        session: Where.
        mesh: Its name.
        task_ids: Messages that are waited for.
        warned: What was said before; each is said once per queue.
        worker_command: Returns the command that starts a worker for a queue.
    """
    try:
        found = yield from read(session, task_ids[:WARN_MAX], patience_s=0.5)
        waiting = [
            (task_id, record)
            for task_id, record in zip(task_ids, found, strict=False)
            if isinstance(record, Record) and record.state in STATES
        ]
        parked = yield from parked_among(
            session, [task_id for task_id, record in waiting if record.state is State.SCHEDULED]
        )
        if not any(record.state is State.PENDING or task_id in parked for task_id, record in waiting):
            return
        counted = yield from status(session, with_queues=False)
    except TaskMeshError as error:
        log.debug("cannot look who serves the queue: %s", error)
        return
    workers = _live(counted)
    served = {queue for queues in workers.values() for queue in queues}
    there = ", ".join(f"{name} ({', '.join(queues)})" for name, queues in workers.items()) or "none"
    for task_id, record in waiting:
        queue = record.queue
        if task_id in parked:
            if _is_first(warned, f"{queue} parked"):
                log.warning(
                    "task %s of queue %r of mesh %r was put aside, since no worker that took it knows its task. "
                    "Workers: %s. Start one of the app that has the task, on that queue: it becomes a dead letter "
                    "after unknown_task_grace",
                    task_id,
                    queue,
                    mesh,
                    there,
                )
        elif record.state is not State.PENDING:
            continue
        elif queue in counted.paused:
            if _is_first(warned, f"{queue} paused"):
                log.warning(
                    "task %s waits in queue %r of mesh %r, and that queue is paused. Have it go on with: "
                    "taskmesh queue resume %s",
                    task_id,
                    queue,
                    mesh,
                    queue,
                )
        elif queue not in served and _is_first(warned, queue):
            log.warning(
                "task %s waits in queue %r of mesh %r, and nobody serves that queue. Workers: %s. "
                "Start one with: %s",
                task_id,
                queue,
                mesh,
                there,
                worker_command(queue),
            )


def _is_first(warned: set[str], what: str) -> bool:
    """Tell whether something has not been said yet, and note that it is."""
    is_first = what not in warned
    warned.add(what)
    return is_first


def parked_among(session: Session, task_ids: Sequence[str]) -> Steps[set[str]]:
    """Return which of these messages no worker could take."""
    if not task_ids:
        return set()
    told = yield from plain(
        session, b"HMGET", keys.parked(session.prefix), *(task_id.encode() for task_id in task_ids)
    )
    return {task_id for task_id, build in zip(task_ids, told, strict=True) if build}


def _live(counted: Status) -> dict[str, list[str]]:
    """Return the names of the live workers, and what each serves."""
    found = {}
    for incarnation, state, _, info, _ in counted.workers:
        if state == "live":
            about = read_about(info)
            queues = about.get("queues")
            found[str(about.get("name", "")) or incarnation] = (
                list(map(str, queues)) if isinstance(queues, list) else []
            )
    return found
