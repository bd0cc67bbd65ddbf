"""A message that has not ended: where it stands, who runs it, and what it tells of itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from taskmesh.app import TaskMesh
from taskmesh.cli.output import as_iso, as_plain, as_time
from taskmesh.codec.about import read_about
from taskmesh.codec.envelope import decode_envelope
from taskmesh.codec.telling import Telling
from taskmesh.core import keys
from taskmesh.core.progress import Progress
from taskmesh.core.record import Record
from taskmesh.core.state import State
from taskmesh.errors import TrustError
from taskmesh.queue.inspect import records
from taskmesh.queue.rate import held_back
from taskmesh.replication.ask import plain
from taskmesh.results.read import read


@dataclass(frozen=True, slots=True)
class Unfinished:
    """A message that has not ended.

    Attributes:
        record: As it stands on the node.
        worker: Name of the worker that holds it, as that tells it; empty where none does.
        telling: What it tells of itself while it runs, signed; None for nothing.
        is_limited: Whether the rate limit of its task holds it back.
    """

    record: Record
    worker: str
    telling: Telling | None
    is_limited: bool = False

    @property
    def due_ms(self) -> int:
        """When it is due, of one that waits for its time; 0 for all others."""
        return self.record.moment_ms if self.record.state in (State.SCHEDULED, State.RETRY) else 0

    def as_json(self) -> dict[str, Any]:
        """Return what programs may want to know."""
        record, telling = self.record, self.telling
        return {
            "queue": record.queue,
            "sent": as_iso(record.created_ms),
            "due": as_iso(self.due_ms),
            "rate_limited": self.is_limited,
            "attempt": record.attempt,
            "crashes": record.crashes,
            "worker": self.worker or None,
            "label": (telling.label or None) if telling is not None else None,
            "progress": _progress(telling.progress) if telling is not None else None,
            "meta": as_plain(telling.facts()) if telling is not None and telling.meta else None,
        }

    def as_pairs(self) -> list[tuple[str, object]]:
        """Return what people may want to know, under names."""
        record, telling = self.record, self.telling
        pairs: list[tuple[str, object]] = []
        progress = telling.progress if telling is not None else None
        if progress is not None:
            pairs.append(("progress", _told(progress)))
        if telling is not None and telling.meta:
            pairs.append(("meta", repr(telling.facts())))
        if self.worker:
            pairs.append(("runs on", self.worker))
        pairs += [("queue", record.queue), ("sent", as_time(record.created_ms))]
        if self.due_ms:
            why = ": the rate limit of its task allows no start before" if self.is_limited else ""
            pairs.append(("due", f"{as_time(self.due_ms)}{why}"))
        pairs.append(("attempt", record.attempt))
        if record.crashes:
            pairs.append(("crashes", record.crashes))
        return pairs


def unfinished(mesh: TaskMesh, task_id: str) -> Unfinished | None:
    """Look at a message that had not ended a moment ago; None if there is no record of it that can be read.

    Raises:
        TrustError: What it tells must not be used.
    """
    link = mesh.link
    (record,) = link.run(read(link.session, [task_id]))
    if not isinstance(record, Record):
        return None
    if record.state is not State.STARTED:
        return Unfinished(record, "", None, is_limited=_is_limited(mesh, task_id, record))
    incarnation = record.token[20:36].encode()
    info = link.run(plain(link.session, b"HGET", keys.worker(link.prefix, incarnation), b"info"))
    name = str(read_about(info).get("name", incarnation.decode()))
    return Unfinished(record, name, mesh.portal.telling(task_id))


def _is_limited(mesh: TaskMesh, task_id: str, record: Record) -> bool:
    if record.state not in (State.SCHEDULED, State.RETRY):
        return False
    link = mesh.link
    (whole,) = link.run(records(link.session, [task_id]))  # with its envelope, which names the task
    if whole is None:
        return False
    try:
        task = decode_envelope(whole.envelope, link.messages, expect_id=task_id).task
    except TrustError:
        return False  # whoever runs it says so; no task of it is known
    return bool(link.run(held_back(link.session, [(task_id, task, record.moment_ms)])))


def _progress(progress: Progress | None) -> dict[str, Any] | None:
    if progress is None:
        return None
    return {
        "done": progress.done,
        "total": progress.total,
        "fraction": progress.fraction,
        "note": progress.note,
    }


def _told(progress: Progress) -> str:
    """Return how far it is in words: `3 of 8 (38 %): resizing`."""
    text = f"{progress.done}" if progress.total is None else f"{progress.done} of {progress.total}"
    if progress.fraction is not None:
        text += f" ({progress.fraction:.0%})"
    return f"{text}: {progress.note}" if progress.note else text
