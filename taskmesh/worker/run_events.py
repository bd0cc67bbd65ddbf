"""What a child tells of its runs while somebody listens: that they started, and how they ended once that counts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from taskmesh.core.event import KIND_OF, STARTED, Event
from taskmesh.core.record import queue_of
from taskmesh.nodes.event_sender import EventSender
from taskmesh.queue.commit import REFUSED
from taskmesh.worker.operated import OperatedHere

if TYPE_CHECKING:
    from taskmesh.nodes.link import Link
    from taskmesh.worker.job import Job

#: Ends that are kept until they are committed; more than that are not told.
KEPT_MAX = 50_000


class RunEvents:
    """The events of one child."""

    def __init__(self, link: Link, worker: str, operated: OperatedHere) -> None:
        """Prepare.

        Args:
            link: To the mesh.
            worker: Name of the worker.
            operated: What the child knows of who listens.
        """
        self._operated = operated
        self._worker = worker
        self._now_ms: Callable[[], int] = link.clock.now_ms
        self._sender = EventSender(link)
        self._ended: dict[tuple[bytes, bytes], Event] = {}

    @property
    def is_wanted(self) -> bool:
        """Whether anybody listens."""
        return self._operated.is_listened

    def started(self, job: Job) -> None:
        """Tell that a run begins."""
        self._sender.tell(replace(self._of(job), kind=STARTED, at_ms=self._now_ms()))

    def ended(self, job: Job, letter: bytes, seconds: float, error: str = "") -> None:
        """Keep how a run ended until that is committed.

        Args:
            job: What ran.
            letter: Of the commit.
            seconds: How long it took.
            error: Name of the kind of exception that it raised.
        """
        self._keep(letter, replace(self._of(job), seconds=seconds, detail=error), job.token)

    def not_opened(self, task_id: str, token: str, record: bytes, letter: bytes) -> None:
        """Keep how a message ended that did not run: what is in it may not be what it seems, so no task is named."""
        self._keep(letter, Event("", 0, task_id, queue=queue_of(record), worker=self._worker), token)

    def _of(self, job: Job) -> Event:
        envelope = job.envelope
        return Event("", 0, job.task_id, envelope.task, envelope.queue, self._worker, job.attempt)

    def _keep(self, letter: bytes, event: Event, token: str) -> None:
        told = KIND_OF.get(letter.decode())
        if told is not None and len(self._ended) < KEPT_MAX:
            kind, detail = told
            key = event.id.encode(errors="replace"), token.encode()
            self._ended[key] = replace(event, kind=kind, detail=event.detail or detail)

    @property
    def has_ended(self) -> bool:
        """Whether ends wait for being committed."""
        return bool(self._ended)

    def committed(self, entries: Sequence[bytes], verdicts: bytes) -> None:
        """Tell of those that count now.

        Args:
            entries: What was committed, flat: id, token, letter, outcome.
            verdicts: A letter for each.
        """
        now_ms = self._now_ms()
        for at, verdict in enumerate(verdicts):
            kept = self._ended.pop((entries[4 * at], entries[4 * at + 1]), None)
            if kept is not None and verdict != REFUSED:
                self._sender.tell(replace(kept, at_ms=now_ms))

    def finish(self) -> None:
        """Tell what waits, since no more comes."""
        self._sender.finish()
