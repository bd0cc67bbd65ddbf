"""Outcomes of what ran inline: what a node is to the others, in the memory of one process."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

from taskmesh.errors import IdempotencyConflict

if TYPE_CHECKING:
    from taskmesh.client.result import AsyncResult
    from taskmesh.codec.outcome import Outcome

#: Outcomes kept; the oldest go first.
KEPT_MAX = 10_000


class Inline:
    """The outcomes of an eager mesh by id, so that `mesh.result(id)` and a repeated `task_id` mean the same there."""

    def __init__(self) -> None:
        self._outcomes: OrderedDict[str, Outcome] = OrderedDict()
        self._first: dict[str, tuple[bytes, str, str]] = {}
        self._lock = threading.RLock()

    def keep(self, outcome: Outcome) -> None:
        """Keep an outcome."""
        with self._lock:
            self._outcomes[outcome.id] = outcome
            while len(self._outcomes) > KEPT_MAX:
                self._outcomes.popitem(last=False)

    def first_with(self, key: str, given_for: bytes, task_id: str, task: str) -> tuple[str, Outcome] | None:
        """Return the message that has an idempotency key, with its outcome; None if this one has it from now on.

        Args:
            key: The key.
            given_for: Digest of task and arguments.
            task_id: The message that asks.
            task: Its task.

        Raises:
            IdempotencyConflict: It was given for something else.
        """
        with self._lock:
            known = self._first.get(key)
            outcome = self._outcomes.get(known[1]) if known is not None else None
            if known is None or outcome is None:
                self._first[key] = given_for, task_id, task
                return None
        if known[0] != given_for:
            raise IdempotencyConflict(
                f"idempotency_key={key!r} was given for another call: message {known[1]} to task {known[2]}",
                task_id=task_id,
                first_id=known[1],
                first_task=known[2],
            )
        return known[1], outcome

    def find(self, task_id: str) -> Outcome | None:
        """Return the outcome of an id that ran here."""
        return self._outcomes.get(task_id)

    def forget(self, handle: AsyncResult[Any]) -> None:
        """Drop the outcome of a handle."""
        with self._lock:
            self._outcomes.pop(handle.id, None)
        handle.outcome = None
        handle.set_missing(expired=True)
